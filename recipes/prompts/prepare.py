"""Asterisk core sounds: telephone prompts in five languages by four voices, 2.1 hours, 16 kHz. CC BY-SA and CC BY 3.0.

English and Spanish share a voice; the files are G.722. Licences: CC BY-SA 3.0 (English, Spanish, French), CC BY 3.0
(Italian, Russian); see the copyright file of each package.

    python recipes/prompts/prepare.py --source debian          # apt-get download, without root
    python recipes/prompts/prepare.py --source DIR             # folders en, es, fr, it, ru (or en_US_..., ...)
    python recipes/prompts/prepare.py --source archive         # from downloads.asterisk.org
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from wavegan.corpus import arguments, run, settings_of
from wavegan.data.download import fetch, unpack
from wavegan.errors import UserError, reported
from wavegan.manifest import split
from wavegan.prepare import Source, write_manifests

RECIPES = ("quarter_hour",)
BESIDE = "vocoder-16k"
SPEAKERS = {"en": "allison", "es": "allison", "fr": "june", "it": "carlo", "ru": "ivrvoice"}
ARCHIVE = "https://downloads.asterisk.org/pub/telephony/sounds/asterisk-core-sounds-{}-g722-current.tar.gz"


def scan(folder: Path) -> list[Source]:
    """List all prompts in ``folder``, in language folders named en or en_US_f_Allison and so on."""
    sources = []
    for path in sorted(folder.rglob("*.g722")):
        parts = path.relative_to(folder).parts
        depth = next((i for i, part in enumerate(parts[:-1]) if part.split("_")[0] in SPEAKERS), None)
        if depth is not None:
            language = parts[depth].split("_")[0]
            name = "/".join([language, *parts[depth + 1 :]]).removesuffix(".g722")
            sources.append(Source(path, name, speaker=SPEAKERS[language]))
    if not sources:
        raise UserError(f"{folder} has no .g722 prompts in folders en, es, fr, it, ru. Give the folder above them.")
    return sources


def fetch_debian(folder: Path) -> None:
    """Download and unpack the Debian packages into ``folder``, without installing them."""
    folder.mkdir(parents=True, exist_ok=True)
    for language in SPEAKERS:
        package = f"asterisk-core-sounds-{language}-g722"
        if not list(folder.glob(f"{package}_*.deb")):
            print(f"Downloading {package}", file=sys.stderr)
            _run(["apt-get", "download", package], folder)
        (deb,) = list(folder.glob(f"{package}_*.deb"))[-1:]
        try:
            _run(["dpkg-deb", "-x", deb.name, "."], folder)
        except UserError:
            deb.unlink()  # incomplete: download it again next time
            raise


def fetch_archive(folder: Path) -> None:
    """Download and unpack the published archives into ``folder``."""
    for language in SPEAKERS:
        if not (folder / language).is_dir():
            unpack(fetch(ARCHIVE.format(language), folder), folder / language)


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(f"{command[0]} is not installed. Use --source archive or --source DIR.") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"'{' '.join(command)}' failed: {reason}. Try apt-get update, or --source archive.") from None


def main() -> None:
    parser = arguments(__doc__, "data/prompts")
    parser.add_argument("--source", default="debian", help="debian, archive, or a folder (default: debian)")
    parser.add_argument("--num-valid", type=int, default=24)
    parser.add_argument("--num-test", type=int, default=60)
    parser.add_argument("--hold-out", nargs="*", default=[], metavar="SPEAKER", help="voices to leave out of training")
    options = parser.parse_args()
    settings = settings_of(options)
    obtain = {"debian": fetch_debian, "archive": fetch_archive}.get(options.source)
    folder = options.output / "raw" if obtain else Path(options.source)
    if obtain:
        obtain(folder)
    report = run(options, scan(folder), settings)
    parts = split(report.kept, options.num_valid, options.num_test, held_out_speakers=options.hold_out)
    print(write_manifests(options.output, parts, options.memmap))


if __name__ == "__main__":
    with reported():
        main()
