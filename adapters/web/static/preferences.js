// What this person has chosen, remembered in this browser. Runs before the first paint, so that nothing moves afterwards.

import { browserMemory } from "./storage.js";

const KEY = "preferences";
const CHOICES = { captions: ["on", "off"], captionSize: ["medium", "small", "large"], shortcuts: ["on", "off"] }; // the first is the default

export const preferences = Object.fromEntries(Object.entries(CHOICES).map(([name, [first]]) => [name, first]));

const followers = [];

// `act()` is called now and after each change.
export function followPreferences(act) {
  followers.push(act);
  act();
}

export function prefer(name, value) {
  if (!CHOICES[name].includes(value)) return;
  preferences[name] = value;
  browserMemory.set(KEY, JSON.stringify(preferences));
  for (const act of followers) act();
}

function recall() {
  let saved = {};
  try {
    saved = JSON.parse(browserMemory.get(KEY)) ?? {};
  } catch {
    // Somebody else's value under our key.
  }
  for (const [name, values] of Object.entries(CHOICES)) if (values.includes(saved[name])) preferences[name] = saved[name];
}

recall();
followPreferences(() => {
  const { dataset } = document.documentElement; // watch.css
  dataset.captions = preferences.captions;
  dataset.captionSize = preferences.captionSize;
});
