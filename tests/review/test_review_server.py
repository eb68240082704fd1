"""The page of candidates, asked by real requests: what it shows, what it saves, and whom it refuses."""

import http.client
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from reviewed_repository import CLASSES, COUNT, run_filter, write_candidates

from penumbra.filter import pictures
from penumbra.filter.vetoes import SHAPE
from penumbra.review import page

FILE = Path("vetoes/badood.csv")


class Client:
    """A browser without a screen."""

    def __init__(self, server):
        self.port, self.path = server.server_address[1], f"/{server.secret}/"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content of an answer; the path is the whole one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    def get(self, path: str = "") -> tuple[int, str]:
        """Status and text of what lies below the secret path."""
        status, _, content = self.ask("GET", self.path + path)
        return status, content.decode()

    def veto(self, sample_id: object, vetoed: object = True, reason: object = "", **headers: str) -> tuple[int, dict]:
        """Change a veto."""
        body = json.dumps({"sample_id": sample_id, "vetoed": vetoed, "reason": reason}).encode()
        status, _, content = self.ask("POST", f"{self.path}veto", body, **{"Content_Type": "application/json"} | headers)
        return status, json.loads(content)

    def shown(self, query: str = "") -> list[str]:
        """The candidates of a page, in order."""
        status, text = self.get(f"?{query}")
        assert status == 200, text
        return [unescape(each) for each in re.findall(r'<li data-id="([^"]*)"', text)]


@pytest.fixture
def client(server) -> Client:
    return Client(server)


def name(row: int) -> str:
    return f"badood/{row:06d}"


def judged() -> pd.DataFrame:
    """What filter says, in order of severity, with the class of each candidate."""
    frame = pd.read_parquet("data/selections/badood.parquet").sort_values("confidence", kind="stable")
    rows = frame.sample_id.str[-6:].astype(int)
    return frame.assign(of_class=[CLASSES[row % 3] if row < COUNT - 1 else "" for row in rows])


def saved() -> list[str]:
    return FILE.read_text().splitlines()


def digest(row: int) -> str:
    return pictures.digest(pq.read_table("data/outliers/badood.parquet")["image"][row].as_py()["bytes"])


def test_the_page_shows_every_candidate_by_severity_with_its_band_class_and_pictures(client):
    frame = judged()
    assert frame.band.nunique() == 3 and client.shown() == frame.sample_id.tolist()
    text = unescape(client.get()[1])
    for row in frame.itertuples():
        of_class = f" · {row.of_class}" if row.of_class else ""
        assert f"<span>{row.confidence:.3f} {row.band}{of_class}</span>" in text
    for band, count in frame.band.value_counts().items():
        assert f'{count} <span class="key {band}">{band}</span>' in text
    made, sources = (pq.read_table(f"data/{path}.parquet")["image"] for path in ("outliers/badood", "images/train"))
    for row in (0, 7, COUNT - 2):
        status, headers, content = client.ask("GET", f"{client.path}candidate/{row}")
        assert (status, headers["Content-Type"], content) == (200, "image/png", made[row].as_py()["bytes"])
        assert client.ask("GET", f"{client.path}source/{row}")[2] == sources[row // 2].as_py()["bytes"]
    assert f"source/{COUNT - 1}" not in text and client.get(f"source/{COUNT - 1}")[0] == 404
    for file in ("page.js", "page.css"):
        assert client.get(file) == (200, (page.HERE / file).read_text())


@pytest.mark.parametrize(
    ("query", "mask"),
    [
        ("band=mid", lambda frame: frame.band == "mid"),
        ("of_class=dog", lambda frame: frame.of_class == "dog"),
        ("low=0.2&high=0.6", lambda frame: frame.confidence.between(0.2, 0.6)),
        ("of_class=eel&band=low&low=&high=1", lambda frame: (frame.of_class == "eel") & (frame.band == "low")),
        ("state=vetoed", lambda frame: frame.sample_id.isin([name(2), name(9)])),
        ("state=left&band=", lambda frame: ~frame.sample_id.isin([name(2), name(9)])),
        ("of_class=%3Cb%3E", lambda frame: frame.of_class == "<b>"),
    ],
)
def test_it_shows_what_is_asked_for(client, query, mask):
    for row in (2, 9):
        client.veto(name(row))
    frame = judged()
    wanted = frame[mask(frame)].sample_id.tolist()
    assert client.shown(query) == wanted and len(wanted) < COUNT
    assert client.shown(f"{query}&order=falling") == wanted[::-1]


@pytest.mark.parametrize("query", ["band=middle", "low=x", "high=nan", "low=2", "page=0", "page=1e3", "order=up", "more=1", "state=?"])
def test_what_it_cannot_show_is_said_in_one_line(client, query):
    status, text = client.get(f"?{query}")
    key, _, value = query.partition("=")
    assert (status, text) == (409, f"{key} = {value}: this page cannot show that.\n")


def test_pages_follow_one_another_and_keep_what_is_asked_for(client, monkeypatch):
    monkeypatch.setattr(page, "SHOWN", 8)
    pages = [client.shown(f"order=falling&page={number}") for number in (1, 2, 3, 4)]
    assert [len(each) for each in pages] == [8, 8, 8, 6] and sum(pages, []) == judged().sample_id.tolist()[::-1]
    text = client.get("?order=falling&page=2")[1]
    assert '<a id="previous" href="?order=falling">' in text and '<a id="next" href="?order=falling&amp;page=3">' in text
    assert client.shown("order=falling&page=99") == pages[3]


def test_a_veto_is_saved_at_once_and_taken_back(client):
    assert client.veto(name(9), reason=" two   digits,\n one above ") == (200, {"vetoed": 1})
    assert client.veto(name(2)) == (200, {"vetoed": 2})
    assert saved() == [
        "sample_id,image,reason",
        f"{name(2)},{digest(2)},",
        f'{name(9)},{digest(9)},"two digits, one above"',
    ]
    text = client.get()[1]
    assert f'<li data-id="{name(2)}" class="vetoed">' in text and 'value="two digits, one above"' in text
    assert '<b id="vetoed">2</b> vetoed in <code>vetoes/badood.csv</code>' in text
    assert client.veto(name(2), False) == (200, {"vetoed": 1}) and client.veto(name(2), False) == (200, {"vetoed": 1})
    assert client.veto(name(9), False) == (200, {"vetoed": 0}) and saved() == ["sample_id,image,reason"]


def test_many_changes_at_once_are_all_kept(client):
    with ThreadPoolExecutor(COUNT) as pool:
        answers = list(pool.map(lambda row: client.veto(name(row)), range(COUNT)))
    assert {status for status, _ in answers} == {200}
    assert len(saved()) == 1 + COUNT and not list(FILE.parent.glob(".*"))


def test_what_an_editor_writes_meanwhile_is_kept(client):
    client.veto(name(1))
    with FILE.open("a") as file:
        file.write(f"{name(5)},,by hand\n")
    assert client.veto(name(3)) == (200, {"vetoed": 3})
    assert saved()[1:] == [f"{name(1)},{digest(1)},", f"{name(3)},{digest(3)},", f"{name(5)},,by hand"]


def test_a_file_that_cannot_be_understood_is_said_with_its_line_and_stays(client):
    FILE.parent.mkdir()
    FILE.write_text(f"sample_id,image,reason\n{name(1)}\n")
    line = f"vetoes/badood.csv line 2: has another shape. Write {SHAPE}."
    assert client.get() == (409, f"{line}\n") and client.veto(name(3)) == (409, {"error": line})
    assert saved()[1:] == [name(1)]


def test_a_file_that_cannot_be_written_is_said(client):
    FILE.parent.write_text("")
    status, said = client.veto(name(3))
    assert status == 409 and said["error"].startswith("vetoes/badood.csv: cannot be written: ")


def test_vetoes_of_pictures_that_are_no_more_are_said_and_go_with_the_next_change(client, root):
    for row in (3, 4, COUNT - 1):
        client.veto(name(row))
    with FILE.open("a") as file:
        file.write(f"{name(6)},,whatever it shows\n")
    write_candidates(root / "data", seed=1, count=COUNT - 1)
    run_filter(root)
    text = client.get()[1]
    assert '<b id="vetoed">1</b>' in text and "3 more are of pictures that are no longer there" in text
    assert client.shown("state=vetoed") == [name(6)] and len(client.shown()) == COUNT - 1
    assert client.veto(name(8)) == (200, {"vetoed": 2})
    assert [line.split(",")[0] for line in saved()[1:]] == [name(6), name(8)]


def test_after_filter_has_run_again_a_vetoed_candidate_is_still_there_to_be_taken_back(client, root):
    before = judged()
    out = before[before.band == "mid"].sample_id.tolist()[:2]
    for sample_id in out:
        client.veto(sample_id)
    run_filter(root, veto=str(FILE))
    assert set(judged().sample_id) == set(before.sample_id) - set(out)
    assert client.shown("state=vetoed&band=mid") == out and client.shown() == before.sample_id.tolist()
    client.veto(out[0], False)
    run_filter(root)
    assert set(judged().sample_id) == set(before.sample_id) - {out[1]}


def test_candidates_that_filter_has_not_judged_are_refused(client, root):
    write_candidates(root / "data", count=COUNT + 1)
    line = "data/selections/badood.parquet: is of other candidates than data/outliers/badood.parquet. Run `penumbra repro filter@badood`."
    assert client.get() == (409, f"{line}\n")
    shutil.rmtree(root / "data/selections")
    (root / "data/outliers/badood.parquet").touch()
    line = "data/selections/badood.parquet: is not there yet. Run `penumbra repro filter@badood` to make it."
    assert client.get() == (409, f"{line}\n")


def test_it_listens_to_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1" and server.address.startswith("http://127.0.0.1:") and len(server.secret) >= 24


@pytest.mark.parametrize("path", ["/", "/x/", "/x/veto", "{secret}", "{secret}x/", "{other}/", "/../{secret}/", "{secret}//"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_comes_in_without_the_secret(server, client, method, path):
    path = path.replace("{secret}", client.path[:-1]).replace("{other}", "/" + "x" * len(server.secret))
    status, _, content = client.ask(method, path, b"{}" if method == "POST" else None, Content_Type="application/json")
    assert status == 404 and server.secret.encode() not in content


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost@evil.example", "[::1", ""])
def test_a_foreign_name_that_points_here_is_refused(client, host):
    assert client.ask("GET", client.path, Host=host)[0] == 403
    assert client.veto(name(1), Host=host)[0] == 403 and not FILE.exists()


@pytest.mark.parametrize("host", ["localhost:8888", "127.0.0.1:1", "localhost"])
def test_a_forwarded_port_is_no_foreign_name(client, host):
    assert client.ask("GET", client.path, Host=host)[0] == 200
    assert client.veto(name(1), Host=host, Origin=f"http://{host}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
    ],
)
def test_another_page_cannot_change_a_veto(client, headers):
    assert client.veto(name(1), **headers)[0] == 403 and not FILE.exists()


@pytest.mark.parametrize(
    "path",
    [
        *(f"candidate/{row}" for row in ("", "-1", "30", "x", "0/", "999999999999")),
        *("veto", "../params.yaml", "..%2fparams.yaml", "page.jinja", "server.py", "page.js/../server.py"),
    ],
)
def test_nothing_of_an_address_becomes_a_path(client, path):
    status, _, content = client.ask("GET", client.path + path)
    assert (status, content) == (404, b"There is no such page.\n")


@pytest.mark.parametrize(
    ("sample_id", "vetoed", "reason", "status"),
    [
        ("badood/000030", True, "", 409),
        ("../x", True, "", 409),
        (name(1), True, "x" * 201, 409),
        (name(1), True, "\x00", 409),
        (name(1), 1, "", 400),
        (1, True, "", 400),
        (name(1), True, None, 400),
        (name(1), True, "x" * 20_000, 413),
    ],
)
def test_an_impossible_change_is_refused_and_nothing_is_saved(client, sample_id, vetoed, reason, status):
    found, said = client.veto(sample_id, vetoed, reason)
    assert found == status and said["error"].endswith(".") and not FILE.exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"sample_id": "badood/000001"}', b"[" * 16_000])
def test_a_change_that_is_none_is_refused(client, body):
    status, _, content = client.ask("POST", f"{client.path}veto", body, Content_Type="application/json")
    assert status == 400 and json.loads(content) == {"error": "A change is JSON with sample_id, vetoed and reason."}


def test_the_page_is_kept_from_foreign_scripts_frames_and_caches(client):
    headers = client.ask("GET", client.path)[1]
    assert headers["Content-Security-Policy"].startswith("default-src 'none';") and "unsafe" not in headers["Content-Security-Policy"]
    assert (headers["Referrer-Policy"], headers["Cache-Control"], headers["X-Content-Type-Options"]) == (
        "no-referrer",
        "no-store",
        "nosniff",
    )
