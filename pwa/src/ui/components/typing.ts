// Respect for input methods: while somebody composes Chinese, nothing is told to the form and nothing is
// written into the field. An action for any text field.

type Options = { value: string; typed: (value: string) => void };

/** Keeps `value` in the field and reports what the person typed, both only between compositions. */
export function typing(node: HTMLInputElement | HTMLTextAreaElement, options: Options) {
  let current = options;
  let composing = false;
  let reported = options.value;
  node.value = options.value;

  const report = () => {
    if (composing || node.value === reported) return;
    reported = node.value;
    current.typed(node.value);
  };
  const begin = () => {
    composing = true;
  };
  const end = () => {
    composing = false;
    report();
  };
  node.addEventListener('compositionstart', begin);
  node.addEventListener('compositionend', end);
  node.addEventListener('input', report);
  return {
    update(next: Options) {
      current = next;
      if (composing || next.value === reported) return;
      reported = next.value;
      if (node.value !== next.value) node.value = next.value;
    },
    destroy() {
      node.removeEventListener('compositionstart', begin);
      node.removeEventListener('compositionend', end);
      node.removeEventListener('input', report);
    },
  };
}
