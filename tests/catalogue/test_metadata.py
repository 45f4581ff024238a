"""What a file states of itself is compared with the options."""

from catalogue_files import BOX, assert_same, hdf5, refusal

from cobaya_neuralbias.catalogue import read_catalogue


def test_box_attributes(tmp_path):
    for name in ("box", "box_size", "BoxSize"):
        file = hdf5(tmp_path, attributes={name: 251.0})
        refusal(lambda: read_catalogue(file, BOX), file, "wrong box", name, "251", "250")  # noqa: B023
        assert_same(read_catalogue(hdf5(tmp_path, attributes={name: BOX * (1 + 1e-7)}), BOX))
    assert_same(read_catalogue(hdf5(tmp_path, attributes={"BoxSize": [BOX] * 3}), BOX))
    file = hdf5(tmp_path, attributes={"BoxSize": [BOX, BOX, 2 * BOX]})
    refusal(lambda: read_catalogue(file, BOX), file, "wrong box")
    file = hdf5(tmp_path, attributes={"box": "large"})
    refusal(lambda: read_catalogue(file, BOX), file, "wrong box", "large")
    file = hdf5(tmp_path, attributes={"box": BOX, "box_units": "Mpc"})
    refusal(lambda: read_catalogue(file, BOX), file, "wrong box", "250.0 Mpc,")
