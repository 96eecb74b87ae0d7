/** Our rules for the linter (oxlint.config.js). */
import { arrows } from './arrows.js';
import { boundedCaches } from './bounded-caches.js';
import { commentWidth } from './comment-width.js';
import { durationNames } from './duration-names.js';
import { guardedRows } from './guarded-rows.js';
import { noFixedWait } from './no-fixed-wait.js';
import { noPromiseInObject } from './no-promise-in-object.js';
import { plainTitles } from './plain-titles.js';
import { plainWords } from './plain-words.js';

export default {
  meta: { name: 'fleetflag' },
  rules: {
    arrows,
    'bounded-caches': boundedCaches,
    'comment-width': commentWidth,
    'duration-names': durationNames,
    'guarded-rows': guardedRows,
    'no-fixed-wait': noFixedWait,
    'no-promise-in-object': noPromiseInObject,
    'plain-titles': plainTitles,
    'plain-words': plainWords,
  },
};
