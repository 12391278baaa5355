"""A dataset that tells what is in the process that reads it; worker processes import this alone."""

import sys

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset


class Telling(Dataset):
    """Items: whether autolog is there, and how many passes are known after one in the worker."""

    def __len__(self):
        return 2

    def __getitem__(self, at):
        list(DataLoader(TensorDataset(torch.zeros(2)), batch_size=1))
        passes = sys.modules.get("autolog_torch.passes")
        known = list(passes.passes.values()) if passes is not None else []
        return torch.tensor([int("autolog" in sys.modules), sum(one.batches for one in known)])
