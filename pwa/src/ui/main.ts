// Starts the screens: policy first, then styles, then the worker, then the app.

import './trusted.ts';
import './styles/tokens.css';
import './styles/base.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { core } from './core.svelte.ts';
import { update } from './update.svelte.ts';

core.start();
update.start();

const target = document.getElementById('app');
if (target !== null) mount(App, { target });
