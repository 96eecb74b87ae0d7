/**
 * The addresses to which webhooks may be sent: public ones over https, and the private ones that the operator has
 * allowed, over http as well. Otherwise an administrator's account would reach what only this machine can reach, such
 * as a cloud's metadata. Source: Standard Webhooks 1.0.0, "Server side request forgery".
 */
import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.parse>;
type Range = readonly [Address, number];

/**
 * Addresses that are public by their range, and yet answer machines of one cloud alone: Azure's WireServer, which gives
 * out certificates.
 */
const CLOUD_INTERNAL = ipaddr.parse('168.63.129.16');

/** All public IPv6 addresses (RFC 4291). What lies outside may carry an IPv4 address, such as `::127.0.0.1`. */
const GLOBAL_IPV6: Range = [ipaddr.parse('2000::'), 3];

function parseRange(text: string): Range {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.parse(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

const contains = ([base, bits]: Range, address: Address) => base.kind() === address.kind() && address.match(base, bits);

const isPublic = (address: Address) =>
  address.range() === 'unicast' &&
  (address.kind() === 'ipv4' ? address.toString() !== CLOUD_INTERNAL.toString() : contains(GLOBAL_IPV6, address));

/** Decides to which addresses webhooks may be sent. */
export class AddressPolicy {
  readonly #allowed: readonly Range[];

  /** @param allowed private addresses and ranges (CIDR) to which they may be sent, over http as well */
  constructor(allowed: readonly string[]) {
    this.#allowed = allowed.map(parseRange);
  }

  /** Whether there is any address to which http is allowed. */
  get allowsHttp(): boolean {
    return this.#allowed.length > 0;
  }

  /**
   * Says whether a connection may be opened.
   *
   * @param address IPv4 or IPv6; one that is mapped into IPv6 counts as the IPv4 address that it is
   * @param isHttps whether the connection is encrypted
   */
  allows(address: string, isHttps: boolean): boolean {
    const [bare = ''] = address.split('%');
    if (!ipaddr.isValid(bare)) return false;
    const parsed = ipaddr.process(bare);
    return this.#allowed.some((range) => contains(range, parsed)) || (isHttps && isPublic(parsed));
  }
}
