"""A program whose device is slow: it trains there, and prints what was asked of the device.

`late:0` is a device of a backend in Python. Its tensors compute at once, so that the losses are
known, but a copy to the host that does not block stays in the queue of the device's stream: each
question whether an event has passed lets a device do one thing more.
"""

import json

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

import autolog

log = {"read from the device": [], "copies": [], "unpinned": 0, "queries while capturing": 0}


class Stream:
    def __init__(self):
        self.queue = []


class Event:
    def __init__(self):
        self.passed = False

    def record(self, stream=None):
        self.stream = stream or backend.current_stream()
        self.stream.queue.append(lambda: setattr(self, "passed", True))

    def query(self):
        log["queries while capturing"] += backend.capturing
        if not self.passed and backend.awake:
            self.stream.queue.pop(0)()
        return self.passed


class Backend:
    Event = Event
    capturing = False
    awake = True
    current = 0

    def __init__(self):
        self.streams = Stream(), Stream()

    def current_stream(self, device=None):
        return self.streams[device.index if device is not None else self.current]

    def is_current_stream_capturing(self):
        return self.capturing

    def is_available(self):
        return True

    is_initialized = is_available

    def device_count(self):
        return 1

    def current_device(self):
        return 0

    def _is_in_bad_fork(self):
        return False

    def manual_seed_all(self, seed):
        pass


class Late(torch.Tensor):
    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, dtype=inner.dtype, device="late:0"
        )

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        def inner(thing):
            return thing.inner if isinstance(thing, Late) else thing

        host, named = tree_map(inner, args), tree_map(inner, kwargs or {})
        named.pop("device", None)
        name = function._schema.name.removeprefix("aten::")
        if name in ("_local_scalar_dense", "_to_copy", "nonzero", "equal", "is_nonzero"):
            log["read from the device"].append(name)
        if name == "copy_" and not isinstance(args[0], Late):
            return cls.to_host(*args)
        result = function(*host, **named)
        if name.endswith("_"):
            return args[0]
        return tree_map(lambda one: Late(one) if isinstance(one, torch.Tensor) else one, result)

    @staticmethod
    def to_host(target, source, non_blocking=False):
        log["copies"].append([str(source.dtype), bool(non_blocking)])
        log["unpinned"] += id(target) not in pinned
        value = source.inner.clone()
        if not non_blocking:
            log["read from the device"].append("copy_")
        target.fill_(float("nan"))  # until it arrives
        backend.streams[0].queue.append(lambda: target.copy_(value))
        return target


class PinnedMemory(TorchFunctionMode):
    """What no backend in Python can offer."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if kwargs.pop("pin_memory", False):
            one = function(*args, **kwargs)
            pinned[id(one)] = one
            return one
        return function(*args, **kwargs)


pinned = {}
backend = Backend()


def training(dtype=torch.float32):
    weight = torch.nn.Parameter(Late(torch.ones(3, dtype=dtype)))
    data = Late(torch.arange(3, dtype=dtype))
    return weight, data, torch.optim.SGD([weight], lr=0.03)


def steps(count, dtype=torch.float32, pieces=1):
    """Train, and return the losses as the device knows them."""
    weight, data, optimizer = training(dtype)
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        total = 0.0
        for _ in range(pieces):
            loss = (weight * data).square().sum() / pieces
            loss.backward()
            total += loss.detach().inner.item()
        optimizer.step()
        losses.append(total)
    return losses, weight, optimizer


def recorded(run, key="train/loss"):
    return autolog.metric_history(run.run_id, key).value.tolist()


def compared():
    """Series as they were computed and as they were recorded, by what is special."""
    found = {}
    for name, given in {
        "accumulated": {"pieces": 3},
        "bfloat16": {"dtype": torch.bfloat16},
        "beside the current device": {},
    }.items():
        backend.current = 1 if name == "beside the current device" else 0
        with autolog.start_run(name) as run:
            losses, *kept = steps(4, **given)
        found[name] = losses, recorded(run)
        del kept
    return found


def asleep():
    """Steps while the device does nothing: they arrive as soon as it goes on."""
    backend.awake = False
    with autolog.start_run("asleep") as run:
        losses, *kept = steps(5)
        waiting = len(backend.streams[0].queue)
        backend.awake = True
    del kept
    return losses, recorded(run), waiting


def learning_rates():
    """A rate in a tensor of the host that is changed in place, while the loss is on its way."""
    with autolog.start_run("rates") as run:
        weight, data, _ = training()
        optimizer = torch.optim.SGD([weight], lr=torch.tensor(0.5), foreach=False)
        for _ in range(3):
            optimizer.zero_grad()
            (weight * data).square().sum().backward()
            with torch.no_grad():
                weight.inner.sub_(weight.grad.inner)
            optimizer.param_groups[0]["params"][0].grad = None
            optimizer.step()
            optimizer.param_groups[0]["lr"].mul_(0.5)
    return recorded(run, "lr")


def captured():
    """A step that is noted down in a graph of the device is none."""
    with autolog.start_run("captured") as run:
        losses, weight, optimizer = steps(2)
        backend.capturing = True
        copies = len(log["copies"])
        (weight * 2).sum().backward()
        optimizer.step()
        backend.capturing = False
        copies = len(log["copies"]) - copies
    return losses, recorded(run), copies


if __name__ == "__main__":
    _setup_privateuseone_for_python_backend("late", backend_module=backend)
    autolog.autolog("torch")
    with PinnedMemory():
        answer = {
            "compared": compared(),
            "asleep": asleep(),
            "rates": learning_rates(),
            "captured": captured(),
        }
        answer["at exit"], *kept = steps(3)
        log["copies"] = sorted({tuple(one) for one in log["copies"]})
        status = autolog.status()
        answer["notices"] = [one.key for one in status.notices]
        answer["faults"] = [one.text for one in status.notices if one.key == "logging_error"]
        print(json.dumps({**answer, **log}))
    # The numbers of the last steps arrive after the end of the script.
