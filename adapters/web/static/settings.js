// The panel with the settings: opens and closes, and shows and changes what is preferred.

import { followPreferences, prefer, preferences } from "./preferences.js";

export class SettingsPanel {
  // `panel` is a <details> with inputs whose names are those of the preferences.
  constructor(panel) {
    this.panel = panel;
    panel.addEventListener("change", ({ target }) => {
      prefer(target.name, target.type === "checkbox" ? (target.checked ? "on" : "off") : target.value);
    });
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !panel.open) return;
      panel.open = false;
      panel.querySelector("summary").focus();
    });
    document.addEventListener("pointerdown", ({ target }) => { if (!panel.contains(target)) panel.open = false; });
    panel.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget && !panel.contains(relatedTarget)) panel.open = false;
    });
    followPreferences(() => this.draw());
  }

  draw() {
    for (const input of this.panel.querySelectorAll("input")) {
      input.checked = preferences[input.name] === (input.type === "checkbox" ? "on" : input.value);
    }
  }
}
