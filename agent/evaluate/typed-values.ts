import type { JsonValue } from '../../core/model.ts';
import type { EvaluationDetails, ValueType } from '../api/evaluation-details.ts';
import type { ProgramContext } from './flag-evaluator.ts';

/**
 * The methods by which a program in the vehicle gets the value of a flag, or its details, of the type that it expects.
 */
export abstract class TypedValues {
  /** Gives the value of a boolean flag, or `defaultValue` where there is no such flag. Never throws. */
  booleanValue(key: string, defaultValue: boolean, context?: ProgramContext): boolean {
    return this.valueOf(key, 'boolean', defaultValue, context);
  }

  /** Gives the value of a string flag, or `defaultValue` where there is no such flag. Never throws. */
  stringValue(key: string, defaultValue: string, context?: ProgramContext): string {
    return this.valueOf(key, 'string', defaultValue, context);
  }

  /** Gives the value of a number flag, or `defaultValue` where there is no such flag. Never throws. */
  numberValue(key: string, defaultValue: number, context?: ProgramContext): number {
    return this.valueOf(key, 'number', defaultValue, context);
  }

  /** Gives the value of a JSON flag, or `defaultValue` where there is no such flag. Never throws. */
  jsonValue(key: string, defaultValue: JsonValue, context?: ProgramContext): JsonValue {
    return this.valueOf(key, 'json', defaultValue, context);
  }

  /**
   * Gives the value, variant and reason of a boolean flag. Where there is no such flag, or it is of another type, gives
   * `defaultValue` with an error code. Never throws.
   */
  booleanDetails(key: string, defaultValue: boolean, context?: ProgramContext): EvaluationDetails<boolean> {
    return this.detailsOf(key, 'boolean', defaultValue, context);
  }

  /** Gives the details of a string flag, like `booleanDetails`. */
  stringDetails(key: string, defaultValue: string, context?: ProgramContext): EvaluationDetails<string> {
    return this.detailsOf(key, 'string', defaultValue, context);
  }

  /** Gives the details of a number flag, like `booleanDetails`. */
  numberDetails(key: string, defaultValue: number, context?: ProgramContext): EvaluationDetails<number> {
    return this.detailsOf(key, 'number', defaultValue, context);
  }

  /** Gives the details of a JSON flag, like `booleanDetails`. */
  jsonDetails(key: string, defaultValue: JsonValue, context?: ProgramContext): EvaluationDetails<JsonValue> {
    return this.detailsOf(key, 'json', defaultValue, context);
  }

  /** Gives a value of the type that the program expects. Never throws. */
  protected abstract valueOf<T extends JsonValue>(
    key: string,
    type: ValueType,
    defaultValue: T,
    context?: ProgramContext,
  ): T;

  /** Gives the details of such a value. Never throws. */
  protected abstract detailsOf<T extends JsonValue>(
    key: string,
    type: ValueType,
    defaultValue: T,
    context?: ProgramContext,
  ): EvaluationDetails<T>;
}
