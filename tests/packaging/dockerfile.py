"""Reads a Dockerfile and runs its steps without Docker: each stage gets a folder, and `/opt`, `/src` and `/data` mean
folders in it. The base images are this machine: what differs there (their Python, their packages) is not tried.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

OURS = ("/opt", "/src", "/data")
"""Folders that the steps write to. Everything else of the file system is the base image's."""

IMAGE_USER = "10001"
DECLARED = ("USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "CMD")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, `word` in capitals, with its continued lines joined."""

    word: str
    rest: str


@dataclass(slots=True)
class Stage:
    """A stage after its steps: its root folder, its environment, and the words of what was not a step."""

    base: str
    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    declared: dict[str, str] = field(default_factory=dict)

    def place(self, path: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / os.path.normpath(Path(self.folder) / path).lstrip("/")

    def moved(self, text: str) -> str:
        """`text` with our folders where they are on this machine."""
        return re.sub(rf"(?<![\w.])(?:{'|'.join(OURS)})(?=[/\s\"']|$)", lambda found: f"{self.root}{found[0]}", text)


def instructions(dockerfile: Path) -> list[Instruction]:
    """What the file says, in order, without comments."""
    lines = [line for line in dockerfile.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    pairs = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [Instruction(word.upper(), rest.strip()) for word, _, rest in pairs]


class Build:
    """Runs the steps. `context` is what the builder gets.

    `python` and `pip` are those of the tests; `strip` is not tried where the machine has none.
    """

    def __init__(self, context: Path, folder: Path) -> None:
        self._context = context
        self._folder = folder
        self._arguments: dict[str, str] = {}
        self._names: dict[str, Stage] = {}
        self.stages: list[Stage] = []
        self._tools = folder / "tools"
        self._tools.mkdir()
        # pip of this environment, on the interpreter that the step names.
        self._tool("python", sys.executable)
        self._tool("pip", f"{shlex.quote(sys.executable)} -m pip")
        if shutil.which("strip") is None:
            self._tool("strip", "true")

    def _tool(self, name: str, command: str) -> None:
        script = self._tools / name
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)

    def run(self, dockerfile: Path) -> Stage:
        """Every instruction in order; the last stage is the image. A failing step fails the test with its output."""
        steps = {
            "FROM": self._from,
            "ARG": self._arg,
            "ENV": self._env,
            "WORKDIR": self._workdir,
            "COPY": self._copy,
            "RUN": self._run,
        }
        for instruction in instructions(dockerfile):
            if instruction.word in steps:
                steps[instruction.word](instruction.rest)
            else:
                assert instruction.word in DECLARED, f"nobody here knows what {instruction.word} does"
                self._stage.declared[instruction.word] = instruction.rest
        return self._stage

    @property
    def _stage(self) -> Stage:
        return self.stages[-1]

    def _from(self, rest: str) -> None:
        base, _, name = rest.partition(" AS ")
        stage = Stage(base, self._folder / f"stage-{len(self.stages)}")
        stage.root.mkdir()
        stage.environment["PATH"] = f"{self._tools}:{os.environ['PATH']}"
        self.stages.append(stage)
        self._names[name] = stage

    def _arg(self, rest: str) -> None:
        name, _, value = rest.partition("=")
        self._arguments[name] = value

    def _env(self, rest: str) -> None:
        for word in shlex.split(rest):
            name, _, value = word.partition("=")
            self._stage.environment[name] = self._stage.moved(value).replace("$PATH", self._stage.environment["PATH"])

    def _workdir(self, rest: str) -> None:
        self._stage.folder = rest
        self._stage.place(".").mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        words = rest.split()
        options = [word for word in words if word.startswith("--")]
        *names, target = (word for word in words if not word.startswith("--"))
        source_root = self._context
        for option in options:
            assert option.startswith("--from="), option
            source_root = self._names[option.removeprefix("--from=")].root
        place = self._stage.place(target)
        for name in names:
            source = source_root / name.lstrip("/")
            assert source.exists(), f"COPY {name}: the builder does not get it"
            if source.is_dir():
                shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, place / source.name if target.endswith("/") else place)
        if source_root is not self._context:
            self._relink(place, source_root)

    def _relink(self, place: Path, source_root: Path) -> None:
        """Scripts of an environment name its interpreter by its path, which is the same in both stages of an image."""
        for script in (place / "bin").iterdir():
            if script.is_file() and not script.is_symlink():
                text = script.read_bytes()
                script.write_bytes(text.replace(bytes(source_root), bytes(self._stage.root)))

    def _run(self, rest: str) -> None:
        command = self._stage.moved(rest)
        for number in (os.getuid(), os.getgid()):
            command = command.replace(IMAGE_USER, str(number), 1)
        environment = {**outside(), **self._arguments, **self._stage.environment}
        # The step may take what `make setup` has downloaded.
        environment.pop("PIP_NO_CACHE_DIR", None)
        done = subprocess.run(  # noqa: S603 - our own Dockerfile
            ["/bin/sh", "-ec", command],
            cwd=self._stage.place("."),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"RUN {command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def outside() -> Mapping[str, str]:
    """What a build gets from the machine: the way to the package index, where one is configured."""
    kept = re.compile(r"(?i)(https?|no|all)_proxy|pip_(?!no_cache).*|ssl_cert.*|requests_ca_bundle|home|lang")
    return {name: value for name, value in os.environ.items() if kept.fullmatch(name)}


def context_of(root: Path, folder: Path) -> Path:
    """A copy of what `.dockerignore` lets through: everything is out (`*`) but what a line with `!` names."""
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "the list begins by leaving everything out"
    context = folder / "context"
    skip = shutil.ignore_patterns(*(rule.removeprefix("**/") for rule in rules if rule.startswith("**/")))
    for rule in rules:
        if rule.startswith("!"):
            source, target = root / rule[1:], context / rule[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=skip)
            else:
                shutil.copy2(source, target)
    return context
