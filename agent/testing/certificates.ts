/**
 * Makes certificates for tests of TLS with node:crypto alone: X.509 v3 (RFC 5280) with ECDSA P-256, in DER.
 */
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** A certificate and its private key. */
export interface Certificate {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

/** An authority, which issues certificates. */
export interface Authority extends Certificate {
  /** A certificate for a server with these names: host names or IPv4 addresses. */
  issue(names: readonly string[], validity?: Validity): Certificate;
}

/** The time in which a certificate is valid. */
export interface Validity {
  readonly from: Date;
  readonly to: Date;
}

const YEAR = 31_536_000_000;
const NOW: Validity = { from: new Date(Date.now() - YEAR), to: new Date(Date.now() + YEAR) };

const ECDSA_WITH_SHA256 = sequence(objectId('2a8648ce3d040302'));

/** Makes an authority that no program trusts unless it is configured to. */
export function createAuthority(name: string): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issue = (subject: string, key: KeyObject, validity: Validity, extensions: readonly Buffer[]) =>
    pem('CERTIFICATE', certificate(name, subject, key, validity, extensions, privateKey));
  const basicConstraints = extension('551d13', sequence(tagged(0x01, Buffer.from([0xff]))));
  return {
    certificate: issue(name, publicKey, NOW, [basicConstraints, keyIdentifier(publicKey)]),
    key: privatePem(privateKey),
    issue(names, validity = NOW) {
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const alternatives = names.map((each) =>
        isIPv4(each) ? tagged(0x87, Buffer.from(each.split('.').map(Number))) : tagged(0x82, Buffer.from(each)),
      );
      return {
        certificate: issue(names[0]!, own.publicKey, validity, [extension('551d11', sequence(...alternatives))]),
        key: privatePem(own.privateKey),
      };
    },
  };
}

function certificate(
  issuer: string,
  subject: string,
  publicKey: KeyObject,
  { from, to }: Validity,
  extensions: readonly Buffer[],
  issuerKey: KeyObject,
): Buffer {
  const content = sequence(
    // Version 3.
    tagged(0xa0, tagged(0x02, Buffer.from([2]))),
    // The serial number must be positive, and its first byte not zero.
    tagged(0x02, Buffer.concat([Buffer.from([0x40]), randomBytes(8)])),
    ECDSA_WITH_SHA256,
    distinguishedName(issuer),
    sequence(time(from), time(to)),
    distinguishedName(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  );
  return sequence(
    content,
    ECDSA_WITH_SHA256,
    tagged(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', content, issuerKey)])),
  );
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(objectId(id), tagged(0x04, value));
}

function keyIdentifier(publicKey: KeyObject): Buffer {
  const digest = createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
  return extension('551d0e', tagged(0x04, digest));
}

/** Gives a distinguished name that has a common name only. */
function distinguishedName(name: string): Buffer {
  return sequence(tagged(0x31, sequence(objectId('550403'), tagged(0x0c, Buffer.from(name)))));
}

/** Gives a date as GeneralizedTime. */
function time(date: Date): Buffer {
  return tagged(0x18, Buffer.from(`${date.toISOString().replace(/\.\d+Z|[-:T]/g, '')}Z`));
}

function objectId(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

function privatePem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function pem(label: string, der: Buffer): string {
  return `-----BEGIN ${label}-----\n${der
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n')}\n-----END ${label}-----\n`;
}
