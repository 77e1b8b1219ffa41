// Addresses and the browser's history. Knows the pattern of every screen's address and nothing of screens.

export type Route =
  | { name: 'home' }
  | { name: 'customers'; picking: boolean }
  | { name: 'new_customer'; draft: string | null; called: string }
  | { name: 'customer'; id: string; tab: 'timeline' | 'card' }
  | { name: 'edit_customer'; id: string }
  | { name: 'visit'; id: string; customer: string | null }
  | { name: 'inbox' }
  | { name: 'late' }
  | { name: 'devices' }
  | { name: 'sync' }
  | { name: 'settings' }
  | { name: 'missing' };

const ID = /^[0-9a-f]{32}$/;

function idIn(url: URL, key: string): string | null {
  const id = url.searchParams.get(key);
  return id !== null && ID.test(id) ? id : null;
}

function parse(url: URL): Route {
  const [first = '', second = '', third = ''] = url.pathname.split('/').filter(Boolean);
  switch (first) {
    case '':
      return { name: 'home' };
    case 'customers':
      if (second === 'new') {
        const called = url.searchParams.get('name') ?? '';
        return { name: 'new_customer', draft: idIn(url, 'draft'), called };
      }
      return { name: 'customers', picking: url.searchParams.has('visit') };
    case 'customer':
      if (!ID.test(second)) return { name: 'missing' };
      if (third === 'edit') return { name: 'edit_customer', id: second };
      return { name: 'customer', id: second, tab: third === 'card' ? 'card' : 'timeline' };
    case 'visit':
      if (!ID.test(second)) return { name: 'missing' };
      return { name: 'visit', id: second, customer: idIn(url, 'customer') };
    case 'inbox':
    case 'late':
    case 'devices':
    case 'settings':
      return { name: first };
    // `/sync` itself belongs to the server.
    case 'outbox':
      return { name: 'sync' };
    default:
      return { name: 'missing' };
  }
}

class Router {
  route: Route = $state.raw(parse(new URL(location.href)));
  /** How many steps of ours the history holds, so that "back" never leaves the app. */
  private depth = 0;

  constructor() {
    addEventListener('popstate', () => {
      this.depth = Math.max(0, this.depth - 1);
      this.read();
    });
    addEventListener('click', (event) => this.clicked(event));
  }

  go(path: string): void {
    if (path === location.pathname + location.search) return;
    history.pushState(null, '', path);
    this.depth += 1;
    this.read();
  }

  replace(path: string): void {
    history.replaceState(null, '', path);
    this.read();
  }

  back(fallback: string): void {
    if (this.depth > 0) history.back();
    else this.replace(fallback);
  }

  private read(): void {
    this.route = parse(new URL(location.href));
  }

  /** Plain links stay links; a plain click on one of ours moves without a reload. */
  private clicked(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (link === null || link.origin !== location.origin || link.target !== '' || link.hasAttribute('download')) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const router = new Router();
