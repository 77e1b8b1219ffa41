// Updates of the app: a new version waits until the person agrees and nothing is unsent (S12).

class Update {
  /** A new version lies ready. */
  waiting: ServiceWorker | null = $state.raw(null);
  private reloading = false;

  start(): void {
    if (!('serviceWorker' in navigator) || import.meta.env.DEV) return;
    void this.register();
  }

  /** Takes the new version; every tab reloads once it is in charge. */
  accept(): void {
    this.reloading = true;
    this.waiting?.postMessage({ type: 'take_over' });
  }

  private async register(): Promise<void> {
    const controlled = navigator.serviceWorker.controller !== null;
    navigator.serviceWorker.addEventListener('controllerchange', () => {
      // The first worker of a fresh device takes charge without a reload. One that the browser cleared away, with all
      // storage, leaves the screen as it is: it may hold the last words of a form.
      if (navigator.serviceWorker.controller === null) return;
      if (controlled || this.reloading) location.reload();
    });
    const registration = await navigator.serviceWorker.register('/sw.js', { scope: '/' });
    const look = () => {
      if (registration.waiting !== null && navigator.serviceWorker.controller !== null) {
        this.waiting = registration.waiting;
      }
    };
    look();
    registration.addEventListener('updatefound', () => {
      registration.installing?.addEventListener('statechange', look);
    });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') void registration.update().catch(() => null);
    });
  }
}

export const update = new Update();
