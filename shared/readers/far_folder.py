"""The photographs of a folder that is far away, by the rules of a folder on the disk, from one listing."""

import os
import re
from collections.abc import Iterator

from shared.far.far_path import FarPath
from shared.files.step_folder import INPUT_FOLDER
from shared.readers.folder import NO_PHOTOGRAPHS, FolderWalk, has_image_suffix


class FarWalk(FolderWalk):
    """Goes through the names that were listed as FolderWalk does through a disk; no folder is closed or met twice."""

    def __init__(self, folder: FarPath):
        super().__init__(folder)
        self.listed = folder

    def names(self) -> Iterator[str]:
        seen: set[str] = set()
        for relative in sorted(self.listed.files):
            *folders, name = relative.split("/")
            if name.startswith(".") or any(folder.startswith(".") for folder in folders):
                continue
            if self._is_passed_over(folders, seen):
                continue
            if has_image_suffix(name):
                yield relative
            else:
                self.kinds[os.path.splitext(name)[1] or "without a suffix"] += 1

    def _is_passed_over(self, folders: list[str], seen: set[str]) -> bool:
        """Whether one of them holds other programs' files, or a run's; each is counted once."""
        names_of_folders, path = self.listed.names_of_folders, ""
        is_run = INPUT_FOLDER in names_of_folders[""]
        for folder in folders:
            path += folder + "/"
            is_of_others = folder.lower() in NO_PHOTOGRAPHS or (is_run and re.match(r"step_\d+_", folder) is not None)
            is_run = INPUT_FOLDER in names_of_folders[path[:-1]]
            if is_of_others or is_run:
                if path not in seen:
                    seen.add(path)
                    self.folders[folder if is_of_others else f"{path} (of a run)"] += 1
                return True
        return False
