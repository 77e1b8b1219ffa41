// One short message at a time: what was done, or why it was not. Said aloud by screen readers.

type Shown = { text: string; bad: boolean };

class Toast {
  shown: Shown | null = $state.raw(null);
  private timer: ReturnType<typeof setTimeout> | undefined;

  say(text: string): void {
    this.show({ text, bad: false }, 3500);
  }

  complain(text: string): void {
    this.show({ text, bad: true }, 8000);
  }

  clear(): void {
    this.shown = null;
  }

  private show(shown: Shown, duration_ms: number): void {
    clearTimeout(this.timer);
    this.shown = shown;
    this.timer = setTimeout(() => this.clear(), duration_ms);
  }
}

export const toast = new Toast();
