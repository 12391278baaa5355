"""What users do with models, optimizers and gradients gives the same with autolog and without."""

from __future__ import annotations

import copy
import gc
import inspect
import io
import pickle
import re
import sys
import traceback
import warnings

import pytest
import torch
from torch.nn import functional
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.data import DataLoader, TensorDataset

import autolog


def saved(thing):
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


def pickled(thing):
    """Its pickle, without the addresses that torch writes as the keys of storages."""
    return re.sub(rb"\d{12,}", b"", pickle.dumps(thing))


def bits(tensors):
    return [None if one is None else bytes(one.detach().numpy()) for one in tensors]


def without_addresses(thing):
    return re.sub("0x[0-9a-f]+", "0x", repr(thing))


def failure(call):
    """The exception of a call as the user sees it, but for the engine's frame."""
    try:
        call()
    except Exception as error:
        frames = [
            (frame.filename, frame.lineno, frame.name)
            for frame in traceback.extract_tb(error.__traceback__)
            if "autolog engine" not in frame.filename
        ]
        chain = [type(one).__name__ for one in (error.__cause__, error.__context__) if one]
        return type(error), str(error), frames, chain, getattr(error, "__notes__", [])
    return None


def warned(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
        except Exception as error:
            return type(error), str(error), len(caught), [one.lineno for one in caught]
    return [(one.category, str(one.message), one.filename, one.lineno) for one in caught]


class Training:
    """A model, its optimizer, its scheduler and its loader."""

    def __init__(self, loops):
        torch.manual_seed(0)
        self.x, self.y = loops.X, loops.Y
        self.model = loops.net()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 2)
        self.loader = DataLoader(TensorDataset(self.x, self.y), batch_size=8, shuffle=True)

    def loss(self):
        return functional.mse_loss(self.model(self.x), self.y)

    def step(self):
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return loss

    def all(self):
        return self.model, self.optimizer, self.scheduler, self.loader


# Each gives what the user can see; it is called with a fresh training, twice.


def the_bytes_of_pickles_and_files(training):
    found = []
    for _ in range(3):
        found += [pickled(one) for one in training.all()]
        found += [saved(one) for one in training.all()]
        found += [saved(one.state_dict()) for one in training.all()[:3]]
        training.step()
    return found


def the_attributes_of_objects(training):
    loss = training.step()
    parameter = next(training.model.parameters())
    things = (*training.all(), training.model[0], parameter, parameter.grad, loss)
    return [
        (list(vars(thing)), sorted(dir(thing)), without_addresses(vars(thing))) for thing in things
    ]


def what_refers_to_objects(training):
    training.step()
    things = (*training.all(), *training.model.parameters())
    return [(sys.getrefcount(one), len(gc.get_referrers(one))) for one in things]


def deep_copies(training):
    training.step()
    model, optimizer, scheduler = copy.deepcopy(
        (training.model, training.optimizer, training.scheduler)
    )
    loss = functional.mse_loss(model(training.x), training.y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    return bits(model.parameters()), saved(optimizer), saved(scheduler), saved(training.optimizer)


def steps_after_a_pickle(training):
    training.step()
    model, optimizer = pickle.loads(pickle.dumps((training.model, training.optimizer)))
    training.model, training.optimizer = model, optimizer
    training.scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    training.step()
    return saved(model), saved(optimizer)


def hooks_on_tensors_and_modules(training):
    seen = []
    training.x = training.x.clone().requires_grad_()
    first = next(training.model.parameters())
    first.register_hook(lambda grad: seen.append(("hook", bytes(grad.numpy()))))
    first.register_post_accumulate_grad_hook(lambda one: seen.append(("after", one is first)))
    training.model.register_full_backward_hook(lambda *_: seen.append("module"))
    training.model.register_forward_pre_hook(lambda *_: seen.append("forward"))
    training.step()
    training.step()
    return seen


def hooks_on_optimizers(training):
    seen = []
    optimizer = training.optimizer
    handles = [
        optimizer.register_step_post_hook(lambda *_: seen.append("own post")),
        register_optimizer_step_post_hook(lambda *_: seen.append("post")),
        register_optimizer_step_pre_hook(lambda *_: seen.append("pre")),
        optimizer.register_step_pre_hook(lambda *_: seen.append("own pre")),
        register_optimizer_step_post_hook(lambda *_: seen.append("post 2")),
        optimizer.register_state_dict_post_hook(lambda *_: seen.append("state")),
    ]
    try:
        training.step()
        optimizer.state_dict()
        training.step()
    finally:
        for handle in handles:
            handle.remove()
    return seen


def graphs_that_are_kept(training):
    loss = training.loss()
    loss.backward(retain_graph=True)
    loss.backward(retain_graph=True)
    training.optimizer.step()
    again = failure(lambda: (loss.backward(), loss.backward()))
    return bits(training.model.parameters()), again


def double_backward(training):
    """The outer update of MAML: gradients of gradients, written by hand."""
    weights = dict(training.model.named_parameters())
    for _ in range(2):
        training.optimizer.zero_grad()
        grads = torch.autograd.grad(training.loss(), weights.values(), create_graph=True)
        fast = {
            name: one - 0.1 * grad for (name, one), grad in zip(weights.items(), grads, strict=True)
        }
        output = torch.func.functional_call(training.model, fast, (training.x,))
        functional.mse_loss(output, training.y).backward()
        training.optimizer.step()
    return bits(weights.values())


def a_graph_of_gradients(training):
    training.loss().backward(create_graph=True)
    parameters = list(training.model.parameters())
    penalty = sum(one.grad.square().sum() for one in parameters)
    penalty.backward()
    training.optimizer.step()
    found = bits(parameters), bits(one.grad for one in parameters)
    training.optimizer.zero_grad()
    return found


def gradients_of_some_inputs(training):
    inputs = list(training.model[2].parameters())
    training.loss().backward(inputs=inputs)
    training.optimizer.step()
    torch.autograd.backward([training.loss(), training.loss() * 2], inputs=inputs)
    training.optimizer.step()
    torch.autograd.backward(tensors=(training.loss(),), grad_tensors=(torch.tensor(2.0),))
    training.optimizer.step()
    return bits(training.model.parameters()), bits(p.grad for p in training.model.parameters())


def gradients_that_are_set_by_hand(training):
    parameters = list(training.model.parameters())
    for _ in range(2):
        grads = torch.autograd.grad(training.loss(), parameters)
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        training.optimizer.step()
    return bits(parameters)


def gradients_of_functions(training):
    weights = dict(training.model.named_parameters())

    def loss(weights, x, y):
        return functional.mse_loss(torch.func.functional_call(training.model, weights, (x,)), y)

    grads = torch.func.grad(loss)(weights, training.x, training.y)
    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(weights, training.x, training.y)
    for name, parameter in weights.items():
        parameter.grad = grads[name]
    training.optimizer.step()
    return bits(weights.values()), bits(each.values())


def a_backward_that_fails(training):
    return [
        failure(lambda: training.model(training.x).backward()),
        failure(lambda: training.loss().detach().backward()),
        failure(lambda: torch.autograd.backward(None)),
        failure(lambda: torch.autograd.backward()),
        failure(lambda: torch.autograd.backward(training.loss(), unknown=1)),
        failure(lambda: torch.autograd.backward(())),
        failure(lambda: training.loss().backward(torch.ones(3))),
        failure(lambda: training.loss().backward(inputs=[])),
    ]


def a_step_that_fails(training):
    def boom():
        raise ZeroDivisionError("in a closure")

    def refuse(*_):
        raise ValueError("in a hook")

    training.step()
    found = [failure(lambda: training.optimizer.step(boom))]
    handle = training.optimizer.register_step_post_hook(refuse)
    found.append(failure(training.step))
    handle.remove()
    handle = training.optimizer.register_step_pre_hook(refuse)
    found.append(failure(training.step))
    handle.remove()
    first = next(training.model.parameters())
    handle = first.register_hook(refuse)
    found.append(failure(training.step))
    handle.remove()
    found.append(failure(lambda: torch.optim.SGD([], lr=0.1)))
    found.append(failure(lambda: torch.optim.SGD(training.model.parameters(), lr=-1)))
    found.append(failure(lambda: torch.optim.SGD()))
    training.step()
    return found, bits(training.model.parameters())


def warnings_of_schedulers(training):
    def wrong_order():
        optimizer = torch.optim.SGD(training.model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        scheduler.step()

    def right_order():
        training.step()

    def overridden():
        optimizer = torch.optim.SGD(training.model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        step = optimizer.step
        optimizer.step = lambda *given: step(*given)
        optimizer.step()
        scheduler.step()
        scheduler.step()

    return [warned(call) for call in (wrong_order, right_order, overridden)]


def warnings_of_backward(training):
    def double():
        training.loss().backward(create_graph=True)
        training.optimizer.zero_grad()

    def anomalous():
        with torch.autograd.set_detect_anomaly(True):
            (training.loss() * 0).sqrt().mul(0).backward()

    return [warned(double), warned(anomalous)]


def scripts_and_traces(training):
    model, x = training.model, training.x
    training.step()
    exported = torch.export.export(model, (x,))
    return [
        torch.jit.script(model).code,
        torch.jit.trace(model, x).code,
        torch.fx.symbolic_trace(model).code,
        re.sub("0x[0-9a-f]+", "0x", exported.graph_module.code),
        bits(exported.module()(x)),
    ]


def functions_of_losses(training):
    x, y = training.x[:, :1], training.y
    seen = []

    class Counted(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            seen.append(function is functional.mse_loss)
            return super().__torch_function__(function, types, args, kwargs or {})

    class WithLoss(torch.nn.Module):
        def forward(self, x, y):
            return functional.mse_loss(x, y) + functional.smooth_l1_loss(x, y, beta=0.5)

    functional.mse_loss(x.as_subclass(Counted), y)
    model = WithLoss()
    return [
        seen,
        pickled(functional.mse_loss),
        str(inspect.signature(functional.cross_entropy)),
        torch.jit.script(functional.mse_loss).code,
        torch.jit.script(model).code,
        torch.jit.trace(model, (x, y), check_trace=False).code,
        failure(lambda: torch.fx.symbolic_trace(model)),
        torch.export.export(model, (x, y)).graph_module.code,
        bits(
            [torch.func.vmap(functional.mse_loss)(x, y), torch.func.grad(functional.mse_loss)(x, y)]
        ),
        failure(lambda: functional.mse_loss(x)),
        failure(lambda: functional.mse_loss(x, y, reduction="unknown")),
        warned(lambda: functional.mse_loss(x, y[:1])),
    ]


def iterators_of_loaders(training):
    loader = training.loader
    first, second = iter(loader), iter(loader)
    found = [bits(next(first)), bits(next(second)), type(first), list(vars(first))]
    found += [bits(batch) for batch in first]
    found += [failure(lambda: next(first)), len(loader), list(vars(loader)), pickled(loader)]
    found += [failure(lambda: setattr(loader, "batch_size", 4))]
    return found


SCENARIOS = (
    *(functions_of_losses, iterators_of_loaders),
    *(the_bytes_of_pickles_and_files, the_attributes_of_objects, what_refers_to_objects),
    *(deep_copies, steps_after_a_pickle, hooks_on_tensors_and_modules, hooks_on_optimizers),
    *(graphs_that_are_kept, double_backward, a_graph_of_gradients, gradients_of_some_inputs),
    *(gradients_that_are_set_by_hand, gradients_of_functions, a_backward_that_fails),
    *(a_step_that_fails, warnings_of_schedulers, warnings_of_backward, scripts_and_traces),
)


@pytest.mark.edge_case("EC-D9", "EC-D10")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:Using backward.*with create_graph=True:UserWarning")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__.replace("_", " "))
def test_nobody_can_tell_from(recording, loops, scenario):
    autolog.disable()
    plain = scenario(Training(loops))
    with autolog.autolog("torch"):
        watched = scenario(Training(loops))
    assert watched == plain
