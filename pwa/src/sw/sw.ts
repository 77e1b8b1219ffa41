// The service worker: keeps the app's own files so that it opens without a network. Never touches data,
// and takes over from an older version only when a page says that the person agreed.

import { cleanupOutdatedCaches, createHandlerBoundToURL, precacheAndRoute } from 'workbox-precaching';
import { NavigationRoute, registerRoute } from 'workbox-routing';

declare const self: ServiceWorkerGlobalScope & { __WB_MANIFEST: { url: string; revision: string | null }[] };

precacheAndRoute(self.__WB_MANIFEST);
cleanupOutdatedCaches();
registerRoute(
  new NavigationRoute(createHandlerBoundToURL('/index.html'), {
    denylist: [/^\/api\//, /^\/sync/, /^\/healthz$/, /^\/readyz$/, /^\/metrics$/],
  }),
);

self.addEventListener('message', (event) => {
  const message: unknown = event.data;
  if (typeof message === 'object' && message !== null && 'type' in message && message.type === 'take_over') {
    void self.skipWaiting();
  }
});

// The first version serves the page that installed it, so that even the first visit works offline.
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
