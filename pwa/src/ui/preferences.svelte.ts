// Language and theme of this device. Kept in localStorage because both must be known before the store opens.

export type Language = 'zh' | 'en';
export type Theme = 'system' | 'light' | 'dark' | 'outdoor';

const THEME_COLOURS = { light: '#f6f2e9', dark: '#14181e', outdoor: '#ffffff' };

function stored<T extends string>(key: string, allowed: readonly T[], otherwise: T): T {
  try {
    const value = localStorage.getItem(key);
    return allowed.find((one) => one === value) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A private window may forbid it; the choice then lasts for this run.
  }
}

class Preferences {
  language: Language = $state(stored('language', ['zh', 'en'], navigator.language.startsWith('zh') ? 'zh' : 'en'));
  theme: Theme = $state(stored('theme', ['system', 'light', 'dark', 'outdoor'], 'system'));
  /** Whether this person wants positions of visits kept (R14). */
  position: boolean = $state(stored('position', ['yes', 'no'], 'no') === 'yes');
  private readonly dark = matchMedia('(prefers-color-scheme: dark)');

  constructor() {
    this.dark.addEventListener('change', () => this.paint());
    this.paint();
  }

  setLanguage(language: Language): void {
    this.language = language;
    keep('language', language);
    this.paint();
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    keep('theme', theme);
    this.paint();
  }

  setPosition(wanted: boolean): void {
    this.position = wanted;
    keep('position', wanted ? 'yes' : 'no');
  }

  private paint(): void {
    const system = this.dark.matches ? 'dark' : 'light';
    const shown = this.theme === 'system' ? system : this.theme;
    document.documentElement.dataset['theme'] = shown;
    document.documentElement.lang = this.language === 'zh' ? 'zh-CN' : 'en';
    document.querySelector('meta[name=theme-color]')?.setAttribute('content', THEME_COLOURS[shown]);
  }
}

export const preferences = new Preferences();
