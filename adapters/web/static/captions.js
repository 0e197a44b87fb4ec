// Captions: the last sentences, word by word, in step with the picture. Screen readers get whole sentences.

const KEPT = 3; // sentences on the page
const PAUSE = 1.6; // seconds of silence that end a sentence
const LONGEST = 220; // characters after which a sentence is broken at the next word
const MOST_PENDING = 4000; // words; far more than any speech that is still to come
const TICK = 80; // ms

const ENDS = /[.!?…。！？।؟]["'”’»)\]]*$/u;
const CLOSING = /^[\p{Pe}\p{Pf}\p{Po}"'”’-]+$/u;
const OPENING = /[\p{Ps}\p{Pi}¿¡]$/u;
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

export class Captions {
  // `playhead()` is the moment being shown, UTC epoch seconds; a word appears when it reaches the word's.
  constructor(list, announcer, playhead) {
    this.list = list;
    this.announcer = announcer;
    this.playhead = playhead;
    this.pending = [];
    this.sentence = null;
    this.lastWordAt = -Infinity; // on this machine's clock, ms
    setInterval(() => this.tick(), TICK);
  }

  // Some times are guesses, and the next words come before the guessed end of the last ones. What was told earlier was
  // said earlier, so what is still to come is hurried along and nothing gets out of order.
  add(words) {
    const next = Math.min(...words.map((word) => word.at));
    for (const word of this.pending) word.at = Math.min(word.at, next);
    this.pending.push(...words);
    this.pending.splice(0, this.pending.length - MOST_PENDING);
  }

  // Speech was cut at the source: what comes after will not be said.
  cut(at) {
    this.pending = this.pending.filter((word) => word.at <= at);
  }

  // For an avatar that does not tell its words: what it was given to say, as a whole.
  showWhole(text) {
    this.finish();
    this.append({ text, until: 0 });
    this.finish();
  }

  tick() {
    const now = this.playhead();
    while (this.pending.length && this.pending[0].at <= now) this.say(this.pending.shift());
    if (this.sentence && performance.now() - this.lastWordAt > PAUSE * 1000) this.finish();
  }

  say(word) {
    if (!word.text.trim()) return;
    const clings = CLOSING.test(word.text);
    if (this.sentence && !clings && (this.sentence.done || word.at - this.sentence.until > PAUSE)) this.finish();
    if (!this.sentence && clings && this.list.lastElementChild) return void this.attach(this.list.lastElementChild, word);
    this.append(word);
    this.lastWordAt = performance.now();
  }

  append(word) {
    if (!this.sentence) this.begin();
    const sentence = this.sentence;
    sentence.text += this.attach(sentence.line, word);
    sentence.until = word.until;
    sentence.done = ENDS.test(sentence.text) || sentence.text.length > LONGEST;
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

  begin() {
    const line = document.createElement("p");
    line.dir = "auto";
    this.list.append(line);
    while (this.list.childElementCount > KEPT) this.list.firstElementChild.remove();
    this.sentence = { line, text: "", until: Infinity, done: false };
  }

  finish() {
    if (!this.sentence) return;
    this.announcer.textContent = this.sentence.text;
    this.sentence = null;
  }
}

function needsSpace(before, next) {
  if (!before || /\s$/u.test(before) || /^\s/u.test(next)) return false;
  if (CLOSING.test(next) || OPENING.test(before)) return false;
  return !(UNSPACED.test(before.at(-1)) && UNSPACED.test(next[0]));
}
