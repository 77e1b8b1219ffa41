// Runes everywhere; styles go to files because the content security policy forbids inline ones.
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

const config = {
  preprocess: vitePreprocess(),
  compilerOptions: { runes: true, css: 'external' },
};

export default config;
