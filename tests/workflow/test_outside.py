"""Files that parameters name are dependencies: their names and contents count, not their times, and what is as it was is not read."""

import os
from pathlib import Path

import pytest

from penumbra.workflow import index, outside


@pytest.fixture
def images(tmp_path, monkeypatch) -> Path:
    """A folder of two classes beside the working directory; its files count as settled at once."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(index, "RACE", -1e18)
    for name in ("cat/a.png", "cat/deep/b.png", "dog/a.png", "dog/b.png", "dog.txt"):
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"pixels of {name}")
    return tmp_path / "images"


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The names of the files that are read, as they are."""
    found, content = [], index._content

    def read(root, file):
        found.append(file.name.decode())
        return content(root, file)

    monkeypatch.setattr(index, "_content", read)
    return found


def look(path: Path, **section) -> str:
    """The digest of a section that names a path; of a folder where it does not say."""
    (found,) = outside.digests({"prepare": {"id": {"source": "folder", "path": str(path), **section}}}).values()
    return found


def at(file: Path, nanoseconds: int) -> None:
    os.utime(file, ns=(nanoseconds, nanoseconds))


def edited_within_a_second(root: Path) -> None:
    file = root / "cat/a.png"
    at(file, 10**18)
    look(root)
    file.write_text("PIXELS of cat/a.png")
    at(file, 10**18 + 1)


def edited_at_the_same_time(root: Path) -> None:
    file = root / "cat/a.png"
    at(file, 10**18)
    look(root)
    file.write_text("PIXELS of cat/a.png")
    at(file, 10**18)


CHANGES = {
    "edited, same size and second": edited_within_a_second,
    "edited, same size and time": edited_at_the_same_time,
    "longer": lambda root: (root / "dog/b.png").write_text("more pixels of dog/b.png"),
    "added": lambda root: (root / "dog/c.png").write_text("c"),
    "added, empty": lambda root: (root / "cat/deep/c.png").touch(),
    "removed": lambda root: (root / "dog/a.png").unlink(),
    "renamed": lambda root: (root / "dog/a.png").rename(root / "dog/c.png"),
    "moved": lambda root: (root / "dog/b.png").rename(root / "cat/b.png"),
    "folder renamed": lambda root: (root / "cat").rename(root / "lynx"),
    "exchanged": lambda root: [
        (root / was).rename(root / now) for was, now in (("cat/a.png", "x"), ("dog/a.png", "cat/a.png"), ("x", "dog/a.png"))
    ],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_a_folder_is_seen_and_taking_it_back_brings_the_digest_back(images, change):
    before = look(images)
    kept = {file.relative_to(images): file.read_bytes() for file in images.rglob("*") if file.is_file()}
    change(images)
    assert look(images) != before
    for file in [file for file in images.rglob("*") if file.is_file()]:
        file.unlink()
    for name, content in kept.items():
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_bytes(content)
    assert look(images) == before


def test_only_the_files_that_differ_are_read_and_a_touch_changes_nothing(images, reads):
    before = look(images)
    assert sorted(reads) == ["cat/a.png", "cat/deep/b.png", "dog.txt", "dog/a.png", "dog/b.png"]
    reads.clear()
    assert look(images) == before and not reads
    at(images / "dog/a.png", 10**18)
    assert look(images) == before and reads == ["dog/a.png"]
    reads.clear()
    (images / "dog/b.png").write_text("other")
    assert look(images) != before and reads == ["dog/b.png"]


def test_a_copy_elsewhere_has_the_same_digest(images):
    before = look(images)
    images.rename(images.parent / "moved")
    assert look(images.parent / "moved") == before


def test_what_has_just_changed_is_read_again(images, reads, monkeypatch):
    monkeypatch.setattr(index, "RACE", 3600e9)
    look(images)
    reads.clear()
    look(images)
    assert len(reads) == 5


@pytest.mark.parametrize("damage", [b"", b"{", b'{"state": 1}', b"\xff" * 300])
def test_a_damaged_index_is_as_good_as_none(images, reads, damage):
    before = look(images)
    (file,) = index.INDEX.iterdir()
    file.write_bytes(damage)
    reads.clear()
    assert look(images) == before and len(reads) == 5
    assert look(images) == before and len(reads) == 5


@pytest.mark.parametrize("place", [20, 60, 100, 300, -10])
def test_one_wrong_byte_of_the_index_is_not_believed(images, place):
    before = look(images)
    (file,) = index.INDEX.iterdir()
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    assert look(images) == before
    (images / "dog/c.png").write_text("c")  # now the records are needed
    assert look(images) != before
    (images / "dog/c.png").unlink()
    assert look(images) == before


def interrupt(*given):
    raise KeyboardInterrupt


def test_a_killed_look_leaves_the_old_index(images, reads, monkeypatch):
    before = look(images)
    (images / "dog/c.png").write_text("c")
    with monkeypatch.context() as killed:
        killed.setattr(index, "_head", interrupt)
        with pytest.raises(KeyboardInterrupt):
            index._renewed(next(index.INDEX.iterdir()), "x", bytes(images), outside.files(outside.Named(str(images))), iter(()))
    (images / "dog/c.png").unlink()
    reads.clear()
    assert look(images) == before and not reads
    assert len(list(index.INDEX.iterdir())) == 1


def test_only_the_named_classes_of_a_folder_count(images):
    dogs = look(images, classes=["dog"])
    (images / "cat/a.png").write_text("other")
    (images / "dog.txt").write_text("other")
    assert look(images, classes=["dog"]) == dogs
    (images / "dog/a.png").write_text("other")
    assert look(images, classes=["dog"]) != dogs
    both = {"id": {"source": "folder", "path": str(images), "classes": ["cat"]}}
    both["near"] = {"source": "folder", "path": str(images), "classes": ["dog"]}
    assert outside.digests(both) == {str(images): look(images, classes=["cat", "dog"])}


def test_links_are_followed_but_not_in_a_circle_and_dots_are_passed_over(images):
    before = look(images)
    (images / "dog/.hidden").write_text("x")
    assert look(images) == before
    (images / "dog/round").symlink_to(images)
    assert look(images) == before
    (images.parent / "more").mkdir()
    (images / "owl").symlink_to(images.parent / "more")
    before = look(images)
    (images.parent / "more/a.png").write_text("a")
    assert look(images) != before


def test_a_pipe_and_a_broken_link_are_not_read(images):
    before = look(images)
    os.mkfifo(images / "dog/pipe")
    (images / "dog/gone").symlink_to("nowhere")
    assert look(images) != before


def listed(images: Path, **section) -> dict[str, str]:
    return outside.digests({"source": "imglist", "path": str(images.parent / "lists/x.txt"), "root": str(images), **section})


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (lambda root: (root / "cat/a.png").write_text("other"), True),
        (lambda root: (root / "dog/a.png").write_text("other"), False),  # in no list
        (lambda root: (root / "cat/deep/b.png").unlink(), True),
        (lambda root: (root / "cat/absent.png").write_text("there now"), True),
        (lambda root: (root.parent / "lists/x.txt").write_text("cat/a.png 0\n"), True),
        (lambda root: at(root / "cat/a.png", 10**18), False),
    ],
)
def test_the_files_that_an_image_list_names_count_and_no_others(images, change, counts):
    (images.parent / "lists").mkdir()
    (images.parent / "lists/x.txt").write_text("\ufeffcat/a.png 0\n\ncat/deep/b.png 1\r\ncat/absent.png 1\nnone\nnul\0.png 1\n", "utf-8")
    before = listed(images)
    assert list(before) == [f"{images.parent}/lists/x.txt of {images}"]
    change(images)
    assert (listed(images) != before) == counts


def test_a_list_beside_its_images_goes_by_its_path_alone(images):
    (images / "x.txt").write_text("cat/a.png 0\n")
    assert list(listed(images, path=str(images / "x.txt"), root=None)) == [str(images / "x.txt")]


def test_checkpoints_and_words_count_by_content_and_names_that_are_no_files_do_not(images):
    def digests() -> dict[str, str]:
        preset = {"checkpoint": str(images / "dog.txt"), "vqgan_checkpoint": None, "model": "openai/clip-vit-base-patch16"}
        return outside.digests({"encoder": {"moco": preset}, "word_file": str(images / "cat/a.png"), "vocabulary": "world"})

    before = digests()
    assert sorted(before) == [str(images / "cat/a.png"), str(images / "dog.txt")]
    at(images / "dog.txt", 10**18)
    assert digests() == before
    (images / "dog.txt").write_text("Pixels of dog.txt")
    assert [path for path in before if digests()[path] != before[path]] == [str(images / "dog.txt")]
