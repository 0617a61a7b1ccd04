"""A bundle, or a folder of bundles, from a URL: only the files of a bundle are copied, and each up to a size.

What lies at a URL is chosen by whoever may write there. Names from a listing never become paths here but as one plain
name of a subfolder.
"""

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

from scaler.bundle.folder import FILES, LARGEST, replace_folder, shown_url, store_error_text, too_large
from scaler.errors import BundleInvalid
from scaler.models import is_model

MOST_BUNDLES = 1000
"""subfolders that are looked at"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def fetch(url: str, into: Path, version: str = "") -> Path:
    """A local folder with what lies at `url`: a local path as it is, anything fsspec reads as a copy under `into`.

    version: only the published version NAME@VERSION in there. Without it, the copy has an empty folder for each of
    them. The copy is replaced atomically. Raises BundleInvalid where the URL is unreadable, or one of its files too
    large.
    """
    if "::" in url:
        raise BundleInvalid(shown_url(url), ("must not be a chained URL",))
    if "://" not in url:
        return Path(url, version)
    import fsspec

    target = into / (hashlib.sha256(url.encode()).hexdigest()[:16] + (f"-{version}" if version else ""))
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=into) as temporary:
        copy = Path(temporary, "copy")
        copy.mkdir()
        try:
            files, path = fsspec.core.url_to_fs(url)
            files.invalidate_cache()
            root = path.rstrip("/")
            if version:
                _copy_bundle(files, f"{root}/{version}", copy, shown_url(url))
            else:
                _copy(files, root, copy, shown_url(url))
        except BundleInvalid:
            raise
        except Exception as error:  # noqa: BLE001 - every file system of fsspec raises its own
            raise BundleInvalid(shown_url(url), (f"cannot be fetched: {store_error_text(error)}",)) from None
        replace_folder(copy, target)
    return target


def _copy(files: Any, root: str, into: Path, shown: str) -> None:
    """The files of the bundle at `root`; where there is none, those of the bundles in its subfolders, and of published
    versions an empty folder."""
    if _copy_bundle(files, root, into, shown):
        return
    listed = [str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in files.ls(root, detail=True)]
    for name in [name for name in listed if is_model(name)][:MOST_BUNDLES]:
        (into / name).mkdir(exist_ok=True)
    for name in [name for name in listed if _NAME.fullmatch(name)][:MOST_BUNDLES]:
        (into / name).mkdir(exist_ok=True)
        if not _copy_bundle(files, f"{root}/{name}", into / name, shown):
            (into / name).rmdir()


def _copy_bundle(files: Any, place: str, into: Path, shown: str) -> int:
    """How many files of a bundle lie at `place`; they are copied."""
    return sum(_copy_file(files, f"{place}/{name}", into / name, shown) for name in FILES)


def _copy_file(files: Any, remote: str, local: Path, shown: str) -> bool:
    """Whether the file exists; it is copied then. Raises BundleInvalid, at the latest when more than its limit came."""
    from fsspec.callbacks import Callback

    limit, fault = LARGEST[local.name], BundleInvalid(shown, (too_large(local.name),))

    def check(size: int | None, received: int) -> None:
        if max(size or 0, received) > limit:
            raise fault

    try:
        check(files.info(remote).get("size"), 0)
        files.get_file(remote, str(local), callback=Callback(hooks={"limit": check}))
    except FileNotFoundError:
        local.unlink(missing_ok=True)
        return False
    check(local.stat().st_size, 0)
    return True
