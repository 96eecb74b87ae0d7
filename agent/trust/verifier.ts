import type { Environment } from '../../core/model.ts';
import type { VerifiedProof } from '../state.ts';
import type { SignedFlag } from '../link/operations.ts';
import type { PinnedKeys } from './pinned-keys.ts';
import { asRefusal, type Refusal } from './refusals.ts';
import { verifyFlag, verifyProof, type VerifiedFlag } from './verification.ts';

/** Checks what comes over one link: what does not verify is null, and reported. */
export class Verifier {
  constructor(
    private readonly environment: Environment,
    private readonly keys: PinnedKeys,
    private readonly refuse: (refusal: Refusal) => void,
  ) {}

  flag(signed: SignedFlag): Promise<VerifiedFlag | null> {
    return this.#orNull(verifyFlag(signed, this.environment, this.keys), 'flag');
  }

  /**
   * Gives the flags that verify and are newer than `since`, in the order of their revisions. An older one can only be a
   * replay.
   */
  async flags(signed: readonly SignedFlag[], since: number): Promise<VerifiedFlag[]> {
    const verified: VerifiedFlag[] = [];
    for (const each of [...signed].sort((a, b) => a.revision - b.revision)) {
      const flag = await this.flag(each);
      if (flag !== null && flag.revision > since) verified.push(flag);
    }
    return verified;
  }

  proof(jws: string): Promise<VerifiedProof | null> {
    return this.#orNull(verifyProof(jws, this.environment, this.keys), 'proof');
  }

  #orNull<T>(verification: Promise<T>, subject: string): Promise<T | null> {
    return verification.catch((error: unknown) => {
      this.refuse(asRefusal(error, subject));
      return null;
    });
  }
}
