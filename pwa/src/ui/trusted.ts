// The page's default Trusted Types policy: scripts only from our own origin, no markup from text. Must be
// the first import, before anything makes a worker.

type Policies = {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): unknown;
};

const { trustedTypes } = globalThis as typeof globalThis & { trustedTypes?: Policies };

trustedTypes?.createPolicy('default', {
  createScriptURL(url) {
    if (new URL(url, location.href).origin !== location.origin) throw new TypeError('a script from elsewhere');
    return url;
  },
});
