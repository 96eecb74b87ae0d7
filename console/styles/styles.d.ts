/** A style sheet, which the bundler takes along. */
declare module '*.css';
