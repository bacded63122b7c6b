"""The flagship in PyTorch: the same networks, loss, penalties, optimiser and average, as a user of PyTorch writes them.

`pixel_shuffle` orders the channels it spreads otherwise than ours does; weights are carried over accordingly, so that
both sides compute the same.
"""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Generator(nn.Module):
    """z [N, L], labels [N] -> [N, 1, 28, 28] in [-1, 1]."""

    def __init__(self, num_classes=10, latent_size=64, embedding=64, hidden=256, width_7=64, width_14=64):
        super().__init__()
        self.width_7 = width_7
        self.embed = nn.Embedding(num_classes, embedding)
        self.dense_0 = nn.Linear(latent_size + embedding, hidden)
        self.dense_1 = nn.Linear(hidden, 49 * width_7)
        self.conv_0 = nn.Conv2d(width_7, 2 * width_7, 3, padding=1)
        self.conv_1 = nn.Conv2d(width_7 // 2, width_14, 3, padding=1)
        self.conv_2 = nn.Conv2d(width_14, 4, 3, padding=1)

    def forward(self, z, labels):
        """One pass."""
        x = torch.cat([z, self.embed(labels)], dim=1)
        x = F.leaky_relu(self.dense_0(x), 0.2)
        x = F.leaky_relu(self.dense_1(x), 0.2)
        x = x.view(-1, self.width_7, 7, 7)
        x = F.leaky_relu(self.conv_0(x), 0.2)
        x = F.leaky_relu(self.conv_1(F.pixel_shuffle(x, 2)), 0.2)
        return torch.tanh(F.pixel_shuffle(self.conv_2(x), 2))


class Discriminator(nn.Module):
    """Images [N, 1, 28, 28] in [-1, 1], labels [N] -> scores [N]."""

    def __init__(self, num_classes=10, width_14=32, width_7=64, hidden=256):
        super().__init__()
        self.conv_0 = nn.Conv2d(4, width_14, 3, padding=1)
        self.conv_1 = nn.Conv2d(4 * width_14, width_7, 3, padding=1)
        self.conv_2 = nn.Conv2d(width_7, width_7, 3, padding=1)
        self.dense_0 = nn.Linear(49 * width_7, hidden)
        self.embed = nn.Embedding(num_classes, hidden)
        self.dense_1 = nn.Linear(hidden, 1, bias=False)

    def forward(self, images, labels):
        """One pass."""
        x = F.leaky_relu(self.conv_0(F.pixel_unshuffle(images, 2)), 0.2)
        x = F.leaky_relu(self.conv_1(F.pixel_unshuffle(x, 2)), 0.2)
        x = F.leaky_relu(self.conv_2(x), 0.2)
        x = F.leaky_relu(self.dense_0(x.flatten(1)), 0.2)
        return self.dense_1(x)[:, 0] + (self.embed(labels) * x).sum(1)


def _t(array) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float32, order="C"))


def _spread(n: int) -> np.ndarray:
    """Where channel i of `pixel_shuffle`'s order (channel, row, column) lies in ours (row, column, channel)."""
    return np.arange(n).reshape(4, n // 4).T.reshape(-1)


def _conv(layer: nn.Conv2d, p, outs=None, ins=None) -> None:
    kernel, bias = np.asarray(p["kernel"]).transpose(3, 2, 0, 1), np.asarray(p["bias"])
    kernel = kernel if outs is None else kernel[outs]
    layer.weight.data, layer.bias.data = (
        _t(kernel if ins is None else kernel[:, ins]),
        _t(bias if outs is None else bias[outs]),
    )


def generator(params) -> Generator:
    """Ours in PyTorch, with our weights (a nested dict as Linen makes it)."""
    g = Generator(*np.shape(params["Embed_0"]["embedding"])[:1])
    hw = np.arange(49 * g.width_7).reshape(49, g.width_7).T.reshape(-1)  # rows, columns, channels -> channels first
    g.embed.weight.data = _t(params["Embed_0"]["embedding"])
    g.dense_0.weight.data, g.dense_0.bias.data = _t(params["Dense_0"]["kernel"].T), _t(params["Dense_0"]["bias"])
    g.dense_1.weight.data = _t(np.asarray(params["Dense_1"]["kernel"]).T[hw])
    g.dense_1.bias.data = _t(np.asarray(params["Dense_1"]["bias"])[hw])
    _conv(g.conv_0, params["Conv_0"], outs=_spread(2 * g.width_7))
    _conv(g.conv_1, params["Conv_1"])
    _conv(g.conv_2, params["Conv_2"], outs=_spread(4))
    return g


def discriminator(params) -> Discriminator:
    """The same for D."""
    d = Discriminator(np.shape(params["Embed_0"]["embedding"])[0])
    width_7 = d.conv_2.out_channels
    hw = np.arange(49 * width_7).reshape(49, width_7).T.reshape(-1)
    _conv(d.conv_0, params["Conv_0"], ins=_spread(4))
    _conv(d.conv_1, params["Conv_1"], ins=_spread(d.conv_1.in_channels))
    _conv(d.conv_2, params["Conv_2"])
    d.dense_0.weight.data, d.dense_0.bias.data = (
        _t(np.asarray(params["Dense_0"]["kernel"]).T[:, hw]),
        _t(params["Dense_0"]["bias"]),
    )
    d.embed.weight.data = _t(params["Embed_0"]["embedding"])
    d.dense_1.weight.data = _t(params["Dense_1"]["kernel"].T)
    return d


class Training:
    """The step of `cganjax.steps.relativistic` with its state; `step(real, labels, z)` is one update of both."""

    def __init__(self, config, g: Generator, d: Discriminator, *, compiled=False, bfloat16=False, channels_last=False):
        form = torch.channels_last if channels_last else torch.contiguous_format
        self.g, self.d = g.to(memory_format=form), d.to(memory_format=form)
        self.ema, self.config, self.done, self.form, self.bfloat16 = copy.deepcopy(g), config, 0, form, bfloat16
        adam = {"lr": config.learning_rate, "betas": (config.beta1, config.beta2), "fused": True}
        self.g_opt, self.d_opt = torch.optim.Adam(g.parameters(), **adam), torch.optim.Adam(d.parameters(), **adam)
        self._generate, self._score, self._penalised = g, d, self._with_penalties
        if compiled:
            self._generate, self._score = torch.compile(g), torch.compile(d)
            # A double backward through a compiled graph is refused; a `vjp` inside of it is part of the graph.
            self._penalised = torch.compile(self._with_penalties)

    def _with_penalties(self, images, labels):
        scores, pullback = torch.func.vjp(lambda x: self.d(x, labels), images)
        (gradient,) = pullback(torch.ones_like(scores))
        return scores, gradient.float().square().flatten(1).sum(1)

    def step(self, real, labels, z, gamma):
        """Real images [N, 1, 28, 28], labels [N], latents [N, L], the penalties' weight -> the losses of G and D."""
        n, group = len(real), round(1 / self.config.penalty_fraction)  # of so many pairs the first has penalties
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            fake = self._generate(z, labels)
            fixed = fake.detach().float()
            head = torch.arange(0, n, group)
            scores, penalties = self._penalised(torch.cat([real[head], fixed[head]]), torch.cat([labels[head]] * 2))
            score_real, score_fake = scores[: len(head)], scores[len(head) :]
            if group > 1:
                tail = torch.arange(n)[torch.arange(n) % group != 0]
                rest = self._score(torch.cat([real[tail], fixed[tail]]), torch.cat([labels[tail]] * 2))
                score_real = torch.cat([score_real, rest[: len(tail)]])
                score_fake = torch.cat([score_fake, rest[len(tail) :]])
            d_loss = F.softplus((score_fake - score_real).float()).mean()
            penalty = penalties[: len(head)].mean() + penalties[len(head) :].mean()
            total = d_loss + 0.5 * gamma * penalty
        self.d_opt.zero_grad(set_to_none=True)
        total.backward()
        self.d_opt.step()

        self.d.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            with torch.no_grad():
                score_real = self._score(real, labels)
            g_loss = F.softplus((score_real - self._score(fake, labels)).float()).mean()
        self.g_opt.zero_grad(set_to_none=True)
        g_loss.backward()
        self.g_opt.step()
        self.d.requires_grad_(True)
        decay = min(self.config.ema_decay, (1.0 + self.done) / (10.0 + self.done))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.g.parameters()), 1.0 - decay)
        self.done += 1
        return g_loss.detach(), d_loss.detach()
