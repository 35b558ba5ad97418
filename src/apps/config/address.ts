/** Addresses as people write them: `host:port`, IPv6 hosts in brackets. */
const form = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/[\]@?#]+):(\d{1,5})$/;

export function isAddress(text: string): boolean {
  const port = Number(form.exec(text)?.[1]);
  return port >= 1 && port <= 65_535;
}
