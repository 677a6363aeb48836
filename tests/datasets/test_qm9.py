from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from skccvae.datasets import _qm9, fetch_qm9
from skccvae.datasets._qm9_files import PROPERTIES, read_uncharacterized, uncharacterized_ids

# gdb_58 is one of the uncharacterised molecules.
IDS = [1, 2, 3, 57, 58, 59]
SMILES = ["C", "N", "O", "CC(N)=O", "C[C]=O", "c1ccoc1"]
HEADER = ",".join(["mol_id", "smiles", *PROPERTIES])


def values(n: int = len(IDS)) -> np.ndarray:
    return np.round(np.random.RandomState(0).uniform(-400, 400, (n, len(PROPERTIES))), 5)


def lines() -> list[str]:
    rows = zip(IDS, SMILES, values(), strict=True)
    return [HEADER] + [f"gdb_{i},{s},{','.join(map(repr, v.tolist()))}" for i, s, v in rows]


def write(path: Path, rows: list[str]) -> Path:
    text = "\n".join(rows) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path / "qm9" / "qm9.csv.gz", lines())
    return tmp_path


@pytest.mark.parametrize("name", ["qm9.csv", "qm9.csv.gz", "qm9/qm9.csv", "QM9/qm9.csv.gz"])
@pytest.mark.parametrize("as_file", [False, True])
def test_reads_the_table_where_it_lies(tmp_path: Path, name: str, as_file: bool) -> None:
    path = write(tmp_path / name, lines())
    qm9 = fetch_qm9(data_home=path if as_file else tmp_path, download_if_missing=False)
    kept = [0, 1, 2, 3, 5]
    assert qm9.data.dtype == object
    assert qm9.data.tolist() == [SMILES[i] for i in kept]
    np.testing.assert_array_equal(qm9.target, values()[kept])
    assert qm9.mol_ids.tolist() == [1, 2, 3, 57, 59]
    assert qm9.n_dropped == 1
    assert qm9.n_unsanitized == 0
    assert qm9.target_names == list(PROPERTIES)
    assert "hartree" in qm9.DESCR


def test_uncharacterized_molecules_can_be_kept(home: Path) -> None:
    qm9 = fetch_qm9(data_home=home, drop_uncharacterized=False)
    assert qm9.mol_ids.tolist() == IDS
    assert qm9.n_dropped == 0


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    rows = [line.split(",") for line in lines()]
    write(tmp_path / "qm9.csv", [",".join(["0", *row[::-1]]) for row in rows])
    np.testing.assert_array_equal(fetch_qm9(data_home=tmp_path).target, values()[[0, 1, 2, 3, 5]])


def test_units(home: Path) -> None:
    names = ["mu", "homo", "u0_atom"]
    published = fetch_qm9(data_home=home, targets=names)
    assert published.units == {"mu": "D", "homo": "hartree", "u0_atom": "kcal/mol"}
    hartree = fetch_qm9(data_home=home, targets=names, energy_unit="hartree")
    assert hartree.units == {"mu": "D", "homo": "hartree", "u0_atom": "hartree"}
    ev = fetch_qm9(data_home=home, targets=names, energy_unit="ev")
    assert ev.units == {"mu": "D", "homo": "eV", "u0_atom": "eV"}
    # CODATA 2018: 1 hartree is 27.211386245988 eV; 1 eV is 23.060548 kcal/mol.
    np.testing.assert_allclose(hartree.target[:, :2], published.target[:, :2], rtol=0)
    np.testing.assert_allclose(ev.target[:, 1] / published.target[:, 1], 27.211386245988)
    np.testing.assert_allclose(published.target[:, 2] / ev.target[:, 2], 23.060548, rtol=1e-7)
    np.testing.assert_allclose(published.target[:, 2] / hartree.target[:, 2], 627.5094740631)
    np.testing.assert_array_equal(ev.target[:, 0], published.target[:, 0])


def test_every_energy_is_converted(home: Path) -> None:
    units = fetch_qm9(data_home=home, energy_unit="ev").units
    assert [name for name in PROPERTIES if units[name] == "eV"] == [
        *("homo", "lumo", "gap", "zpve", "u0", "u298", "h298", "g298"),
        *("u0_atom", "u298_atom", "h298_atom", "g298_atom"),
    ]
    assert not {"hartree", "kcal/mol"} & set(units.values())


def test_targets(home: Path) -> None:
    X, y = fetch_qm9(data_home=home, targets="gap", return_X_y=True)
    assert X.shape == y.shape == (5,)
    np.testing.assert_array_equal(y, values()[[0, 1, 2, 3, 5], PROPERTIES.index("gap")])
    assert fetch_qm9(data_home=home, targets=["gap"]).target.shape == (5, 1)
    for bad in ("gaps", ["mu", "mu"], []):
        with pytest.raises(ValueError, match="expected targets from A, B, C, mu"):
            fetch_qm9(data_home=home, targets=bad)


def test_split_is_a_seeded_partition(home: Path) -> None:
    def ids(subset: str, **parameters: int) -> list[int]:
        split = {"n_train": 2, "n_validation": 1, **parameters}
        bunch = fetch_qm9(data_home=home, subset=subset, **split)
        for i, smiles, row in zip(bunch.mol_ids, bunch.data, bunch.target, strict=True):
            assert smiles == SMILES[IDS.index(i)]
            np.testing.assert_array_equal(row, values()[IDS.index(i)])
        return bunch.mol_ids.tolist()

    train, validation, test = ids("train"), ids("validation"), ids("test")
    assert [len(train), len(validation), len(test)] == [2, 1, 2]
    assert sorted(train + validation + test) == [1, 2, 3, 57, 59]
    assert ids("train") == train
    assert any(ids("train", random_state=seed) != train for seed in range(1, 5))
    assert ids("test", n_train=0, n_validation=0, random_state=1) != [1, 2, 3, 57, 59]
    with pytest.raises(ValueError, match="= 120000 is more than the number of molecules, 5"):
        fetch_qm9(data_home=home, subset="train")
    with pytest.raises(ValueError, match="'random_state' parameter"):
        fetch_qm9(data_home=home, random_state=None)


def test_as_frame(home: Path) -> None:
    pd = pytest.importorskip("pandas")
    qm9 = fetch_qm9(data_home=home, targets=["mu", "gap"], as_frame=True)
    assert list(qm9.frame.columns) == ["smiles", "mu", "gap"]
    assert isinstance(qm9.target, pd.DataFrame)
    assert qm9.data["smiles"].tolist() == [SMILES[i] for i in (0, 1, 2, 3, 5)]
    assert isinstance(fetch_qm9(data_home=home, targets="mu", as_frame=True).target, pd.Series)


def edited(row: int, column: int, text: str) -> list[str]:
    rows = [line.split(",") for line in lines()]
    rows[row][column] = text
    return [",".join(r) for r in rows]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "missing mol_id, smiles, A"),
        ([HEADER], "a header but no molecules"),
        ([HEADER.replace(",gap", ",gapp"), *lines()[1:]], "missing gap"),
        ([*lines()[:3], lines()[3][:40]], "line 4: expected 21 fields, got"),
        (edited(2, 5, "many"), "line 3: could not convert string to float: 'many'"),
        (edited(2, 5, ""), "line 3: could not convert"),
        (edited(2, 5, "nan"), "mu of gdb_2 is nan"),
        (edited(3, 8, "inf"), "lumo of gdb_3 is inf"),
        (edited(2, 1, ""), "line 3: no SMILES for gdb_2"),
        (edited(2, 0, "mol_2"), "line 3: expected a mol_id like gdb_1, got 'mol_2'"),
        (edited(2, 0, "gdb_1"), "gdb_1 occurs more than once"),
    ],
)
def test_a_bad_table_is_refused_by_name(tmp_path: Path, rows: list[str], message: str) -> None:
    write(tmp_path / "qm9.csv", rows)
    with pytest.raises(ValueError, match=message) as caught:
        fetch_qm9(data_home=tmp_path)
    assert "qm9.csv" in str(caught.value)


def test_a_truncated_gzip_table_is_refused_by_name(home: Path) -> None:
    path = home / "qm9" / "qm9.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"qm9\.csv\.gz is a truncated or damaged gzip file"):
        fetch_qm9(data_home=home)


def test_a_binary_table_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "qm9.csv").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(ValueError, match=r"qm9\.csv is not a text file"):
        fetch_qm9(data_home=tmp_path)


def test_missing_and_not_to_download(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="download_if_missing is False") as caught:
        fetch_qm9(data_home=tmp_path, download_if_missing=False)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*other\.csv"):
        fetch_qm9(data_home=tmp_path / "other.csv")


def test_download_is_checked_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "source" / "table.csv", lines())
    home = tmp_path / "home"
    monkeypatch.setattr(_qm9, "QM9_URL", source.as_uri())
    with pytest.raises(OSError, match=f"expected {_qm9.QM9_SHA256}"):
        fetch_qm9(data_home=home)
    assert not (home / "qm9" / "qm9.csv").exists()
    monkeypatch.setattr(_qm9, "QM9_SHA256", hashlib.sha256(source.read_bytes()).hexdigest())
    assert len(fetch_qm9(data_home=home).data) == 5
    source.unlink()
    assert len(fetch_qm9(data_home=home, download_if_missing=False).data) == 5


def test_the_known_uncharacterized_molecules() -> None:
    ids = uncharacterized_ids()
    assert len(ids) == 3054
    assert min(ids) >= 1
    assert max(ids) <= 133885


UNCHARACTERIZED = """\
List of compounds that failed the test
======================================
    Index   SMILES of GDB-17   SMILES of the relaxed geometry   A number
      {0}   C[C]=O   CC=O   0.5
      {1}   [NH3+]CC   NCC   0.25
{2} compounds
"""


def test_the_authors_list_of_uncharacterized(tmp_path: Path) -> None:
    path = tmp_path / "uncharacterized.txt"
    path.write_text(UNCHARACTERIZED.format(2, 59, 2))
    assert read_uncharacterized(path) == {2, 59}
    path.write_text(UNCHARACTERIZED.format(2, 59, 3054))
    with pytest.raises(ValueError, match=r"uncharacterized\.txt: .*states 3054 .* lists 2"):
        read_uncharacterized(path)
    path.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"uncharacterized\.txt: expected lines"):
        read_uncharacterized(path)


# PyTorch Geometric's folder: a table without SMILES, and structures with all their hydrogens and
# without charges. The zwitterion needs its charges set before it can be read at all.
STRUCTURES = ["C", "N", "O", "CC(N)=O", "[NH3+]CC([O-])=O", "c1ccoc1"]


@pytest.fixture
def pyg(tmp_path: Path) -> Path:
    pytest.importorskip("rdkit")
    from rdkit import Chem

    blocks = []
    for i, smiles in zip(IDS, STRUCTURES, strict=True):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        Chem.Kekulize(mol, clearAromaticFlags=True)
        for atom in mol.GetAtoms():
            atom.SetFormalCharge(0)
        mol.SetProp("_Name", f"gdb_{i}")
        blocks.append(Chem.MolToMolBlock(mol, kekulize=False) + "$$$$\n")
    raw = tmp_path / "raw"
    rows = [line.split(",") for line in lines()]
    write(raw / "gdb9.sdf.csv", [",".join([row[0], *row[2:]]) for row in rows])
    (raw / "gdb9.sdf").write_text("".join(blocks))
    (raw / "uncharacterized.txt").write_text(UNCHARACTERIZED.format(2, 59, 2))
    return tmp_path


@pytest.mark.parametrize("sub", [".", "raw"])
def test_pytorch_geometrics_folder(pyg: Path, sub: str) -> None:
    qm9 = fetch_qm9(data_home=pyg / sub)
    assert qm9.mol_ids.tolist() == [1, 3, 57, 58]
    assert qm9.data.tolist() == ["C", "O", "CC(N)=O", "[NH3+]CC(=O)[O-]"]
    np.testing.assert_array_equal(qm9.target, values()[[0, 2, 3, 4]])
    assert qm9.n_dropped == 2
    assert qm9.n_unsanitized == 0


def test_without_the_list_the_known_molecules_are_dropped(pyg: Path) -> None:
    (pyg / "raw" / "uncharacterized.txt").unlink()
    assert fetch_qm9(data_home=pyg).mol_ids.tolist() == [1, 2, 3, 57, 59]


def test_structures_and_table_must_agree(pyg: Path) -> None:
    path = pyg / "raw" / "gdb9.sdf"
    whole = path.read_text()
    blocks = whole.split("$$$$\n")[:-1]
    for text, message in [
        ("$$$$\n".join([*blocks[:-1], ""]), "truncated: 5 structures, but 6 rows"),
        (whole[: -len("$$$$\n") - 30], "truncated: its last structure does not end"),
        ("$$$$\n".join([blocks[1], blocks[0], *blocks[2:], ""]), "structure 1 is gdb_2, expected"),
        (whole + blocks[0] + "$$$$\n", "structure 7 is gdb_1, expected the end of the file"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            fetch_qm9(data_home=pyg)
        assert "gdb9.sdf" in str(caught.value)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="but not gdb9.sdf"):
        fetch_qm9(data_home=pyg)


def test_a_structure_that_rdkit_cannot_sanitise_is_kept_and_counted(pyg: Path) -> None:
    from rdkit import Chem

    editable = Chem.RWMol()
    for symbol in "CFFFFF":
        editable.AddAtom(Chem.Atom(symbol))
    for i in range(1, 6):
        editable.AddBond(0, i, Chem.BondType.SINGLE)
    editable.SetProp("_Name", "gdb_3")
    path = pyg / "raw" / "gdb9.sdf"
    blocks = path.read_text().split("$$$$\n")
    blocks[2] = Chem.MolToMolBlock(editable, kekulize=False)
    path.write_text("$$$$\n".join(blocks))
    qm9 = fetch_qm9(data_home=pyg)
    assert qm9.n_unsanitized == 1
    assert qm9.data[1].count("F") == 5
    assert len(qm9.data) == 4


@pytest.fixture(scope="module")
def real(data_folder: Path) -> Path:
    if not (data_folder / "qm9" / "qm9.csv.gz").is_file():
        pytest.skip("no qm9/qm9.csv.gz in the data folder")
    return data_folder


def test_the_real_qm9(real: Path) -> None:
    qm9 = fetch_qm9(data_home=real)
    assert qm9.data.shape == (130831,)
    assert qm9.target.shape == (130831, 19)
    assert not uncharacterized_ids() & set(qm9.mol_ids.tolist())
    gap = qm9.target[:, PROPERTIES.index("gap")]
    homo, lumo = (qm9.target[:, PROPERTIES.index(name)] for name in ("homo", "lumo"))
    # Four decimals each.
    assert np.abs(lumo - homo - gap).max() < 1.6e-4
    # Methane: its energy less those of a carbon and four hydrogen atoms, in kcal/mol.
    atoms = -37.846772 - 4 * 0.500273
    u0, u0_atom = (qm9.target[0, PROPERTIES.index(name)] for name in ("u0", "u0_atom"))
    assert abs((u0 - atoms) * 627.5094740631 - u0_atom) < 1e-4


def test_the_usual_split_of_the_real_qm9(real: Path) -> None:
    parts = [fetch_qm9(data_home=real, subset=s).mol_ids for s in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [110000, 10000, 10831]
    assert len(np.unique(np.concatenate(parts))) == 130831
