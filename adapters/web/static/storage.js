// What is remembered: in this browser, or in this tab alone. Where the browser allows no storage, until the page is left.

class Memory {
  // `open()` returns the browser's storage. Already that may fail.
  constructor(open) {
    this.open = open;
    this.values = new Map();
  }

  get(key) {
    try {
      return this.open().getItem(key) ?? this.values.get(key) ?? null;
    } catch {
      return this.values.get(key) ?? null;
    }
  }

  set(key, value) {
    this.values.set(key, value);
    try {
      this.open().setItem(key, value);
    } catch {
      // Blocked or full: `values` has it.
    }
  }
}

export const browserMemory = new Memory(() => localStorage);
export const tabMemory = new Memory(() => sessionStorage);
