"""Groups and fields of NeXus, as far as they are not there."""

import h5py


def group_in(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    """Return a group with its class; it is made where there is none."""
    group = parent.require_group(name)
    group.attrs.setdefault("NX_class", nx_class)
    return group


def put(group: h5py.Group, name: str, value: object, units: str = "") -> h5py.Dataset:
    """Write a field, or link a dataset; one that is there is left as it is."""
    if name in group:
        found = group[name]
        assert isinstance(found, h5py.Dataset)
        return found
    if isinstance(value, h5py.Dataset):
        group[name] = value
        return value
    made = group.create_dataset(name, data=value)
    if units:
        made.attrs["units"] = units
    return made


def class_all(group: h5py.Group) -> None:
    """Give a class to the groups that metadata made, below one that has it."""
    for name in group:
        # to open every dataset would take ten times as long
        if group.get(name, getclass=True) is h5py.Group:
            inner = group[name]
            assert isinstance(inner, h5py.Group)
            inner.attrs.setdefault("NX_class", "NXcollection")
            class_all(inner)
