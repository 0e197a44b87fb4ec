// Captions: the last sentences, word by word, in step with the picture. Screen readers get whole sentences.

const MAX_SENTENCES = 3; // on the page
const PAUSE = 1.6; // seconds of silence that end a sentence
const MAX_SENTENCE_LENGTH = 220; // characters after which a sentence is broken at the next word
const MAX_PENDING = 4000; // words; far more than any speech still to come
const TICK = 80; // ms

const SENTENCE_END = /[.!?…。！？।؟]["'”’»)\]]*$/u;
const CLOSING = /^[\p{Pe}\p{Pf}\p{Po}"'”’-]+$/u;
const OPENING = /[\p{Ps}\p{Pi}¿¡]$/u;
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

export class Captions {
  // `playhead()` is the moment being shown, UTC epoch seconds; a word appears when it reaches the word's. `areOn()`:
  // whether screen readers are to read them.
  constructor(list, liveRegion, playhead, areOn) {
    this.list = list;
    this.liveRegion = liveRegion;
    this.playhead = playhead;
    this.areOn = areOn;
    this.pending = [];
    this.sentence = null;
    this.lastWordAt = -Infinity; // on this machine's clock, ms
    setInterval(() => this.tick(), TICK);
  }

  // The code of what is spoken; empty where nobody knows.
  setLanguage(code) {
    this.list.lang = this.liveRegion.lang = code;
  }

  // Some times are estimates, and the next words may come before the estimated end of the last ones. Words arrive in the
  // order they are said, so words that are still pending are moved forward and nothing gets out of order.
  add(words) {
    const next = Math.min(...words.map((word) => word.at));
    for (const word of this.pending) word.at = Math.min(word.at, next);
    this.pending.push(...words);
    this.pending.splice(0, this.pending.length - MAX_PENDING);
  }

  // Speech was interrupted: what comes after will not be said.
  cut(at) {
    this.pending = this.pending.filter((word) => word.at <= at);
  }

  // What comes is of another session.
  clear() {
    this.pending = [];
    this.sentence = null;
    this.list.replaceChildren();
    this.liveRegion.textContent = "";
  }

  // For an avatar that does not report its words: what it was given to say, as a whole.
  showText(text) {
    this.finishSentence();
    this.append({ text, until: 0 });
    this.finishSentence();
  }

  tick() {
    const now = this.playhead();
    while (this.pending.length && this.pending[0].at <= now) this.show(this.pending.shift());
    const isSilent = performance.now() - this.lastWordAt > PAUSE * 1000;
    // A picture that has just come is behind: its next word is late, and of the same sentence all the same.
    const goesOn = !this.sentence?.done && this.pending[0]?.at - this.sentence?.until <= PAUSE;
    if (this.sentence && isSilent && !goesOn) this.finishSentence();
  }

  show(word) {
    if (!word.text.trim()) return;
    const isClosing = CLOSING.test(word.text);
    if (this.sentence && !isClosing && (this.sentence.done || word.at - this.sentence.until > PAUSE)) this.finishSentence();
    if (!this.sentence && isClosing && this.list.lastElementChild) return void this.attach(this.list.lastElementChild, word);
    this.append(word);
    this.lastWordAt = performance.now();
  }

  append(word) {
    if (!this.sentence) this.startSentence();
    const sentence = this.sentence;
    sentence.text += this.attach(sentence.line, word);
    sentence.until = word.until;
    sentence.done = SENTENCE_END.test(sentence.text) || sentence.text.length > MAX_SENTENCE_LENGTH;
  }

  attach(line, word) {
    const before = line.textContent;
    const text = (needsSpace(before, word.text) ? " " : "") + word.text;
    const span = document.createElement("span");
    span.className = "word";
    span.textContent = text;
    line.append(span);
    this.list.scrollTop = this.list.scrollHeight;
    return text;
  }

  startSentence() {
    const line = document.createElement("p");
    line.dir = "auto";
    this.list.append(line);
    while (this.list.childElementCount > MAX_SENTENCES) this.list.firstElementChild.remove();
    this.sentence = { line, text: "", until: Infinity, done: false };
  }

  finishSentence() {
    if (!this.sentence) return;
    if (this.areOn()) this.liveRegion.textContent = this.sentence.text;
    this.sentence = null;
  }
}

function needsSpace(before, next) {
  if (!before || /\s$/u.test(before) || /^\s/u.test(next)) return false;
  if (CLOSING.test(next) || OPENING.test(before)) return false;
  return !(UNSPACED.test(before.at(-1)) && UNSPACED.test(next[0]));
}
