// How the app is bundled, and how the service worker learns what belongs to it. Deliberately knows nothing of
// the server: everything it makes lies in dist/.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { build, defineConfig, type Plugin } from 'vite';

type Precached = { url: string; revision: string | null };

/** Every file of the app's shell. A name with a hash never changes its content; the others carry one beside. */
function shell(folder: string): Precached[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => /\.(html|js|css|wasm|bin|webmanifest|svg|png)$/.test(file) && !file.endsWith('sw.js'))
    .map((file) => {
      const url = `/${relative(folder, file)}`;
      const revision = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 16);
      return { url, revision: url.startsWith('/assets/') ? null : revision };
    })
    .sort((one, other) => one.url.localeCompare(other.url));
}

/** Bundles the service worker after the app, with the list of the app's files inside. */
function serviceWorker(): Plugin {
  let folder = 'dist';
  return {
    name: 'daybook-service-worker',
    apply: 'build',
    configResolved(config) {
      folder = config.build.outDir;
    },
    async closeBundle() {
      await build({
        configFile: false,
        publicDir: false,
        logLevel: 'warn',
        define: {
          'self.__WB_MANIFEST': JSON.stringify(shell(folder)),
          'process.env.NODE_ENV': '"production"',
        },
        build: {
          target: 'es2022',
          outDir: folder,
          emptyOutDir: false,
          lib: { entry: 'src/sw/sw.ts', formats: ['iife'], name: 'sw', fileName: () => 'sw.js' },
        },
      });
    },
  };
}

const config = defineConfig({
  plugins: [svelte(), serviceWorker()],
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
});

export default config;
