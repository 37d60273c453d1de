"""The optimiser, its learning rate, and the average of the weights."""

import torch
from torch import nn

from trainer.training.optimizer import Average, learning_rate, make_optimizer


def test_the_average_treats_weights_and_statistics_alike():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    average = Average(module, 0.5)
    expected = {name: value.clone() for name, value in module.state_dict().items()}
    for step in range(5):
        module(torch.randn(4, 2, 8, 8) + 3)
        with torch.no_grad():
            for weight in module.parameters():
                weight += torch.randn_like(weight)
        decay = min(0.5, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * value
            else:
                expected[name] = value.clone()
        average.update(module, step)
    for name, value in average.module.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-6), name
    assert int(average.module.state_dict()["1.num_batches_tracked"]) == 5
    assert not average.module.training


def test_adamw_is_the_papers_formula_and_decays_no_bias():
    # Loshchilov & Hutter, algorithm 2, written out in float64.
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    optimizer = make_optimizer(module, 0.1)
    rate = 0.01
    for group in optimizer.param_groups:
        group["lr"] = rate
    weights = [p.detach().double().clone() for p in (module.weight, module.bias)]
    first, second = [[torch.zeros_like(w) for w in weights] for _ in range(2)]
    for step in range(1, 6):
        gradients = [torch.randn_like(w) for w in weights]
        module.weight.grad, module.bias.grad = (g.float() for g in gradients)
        optimizer.step()
        for i, (w, g) in enumerate(zip(weights, gradients, strict=True)):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            slope = first[i] / (1 - 0.9**step)
            spread = (second[i] / (1 - 0.999**step)).sqrt() + 1e-8
            weights[i] = w - rate * (slope / spread + (0.1 if i == 0 else 0.0) * w)
    assert torch.allclose(module.weight.double(), weights[0], atol=1e-6)
    assert torch.allclose(module.bias.double(), weights[1], atol=1e-6)


def test_the_learning_rate_warms_up_and_follows_a_cosine():
    rates = [learning_rate(step, 100, 10, 1.0, 0.1) for step in range(101)]
    assert rates[:10] == [(step + 1) / 10 for step in range(10)]
    assert rates[10] == 1.0 and abs(rates[55] - 0.55) < 1e-12 and abs(rates[100] - 0.1) < 1e-12
