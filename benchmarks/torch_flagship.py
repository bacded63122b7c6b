"""The flagship in PyTorch: the same networks, loss, penalties, optimiser and average, as a user of PyTorch writes them.

`pixel_shuffle` orders the channels it spreads otherwise than ours does; weights are carried over accordingly, so that
both sides compute the same. Between products and convolutions lie rows, columns, channels, as in ours: with channels
last, PyTorch's faster layout here, that is no copy.
"""

import copy
import functools

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
        x = x.view(-1, 7, 7, self.width_7).permute(0, 3, 1, 2)
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
        x = F.leaky_relu(self.dense_0(x.permute(0, 2, 3, 1).flatten(1)), 0.2)
        return self.dense_1(x)[:, 0] + (self.embed(labels) * x).sum(1)


def _t(array) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float32, order="C"))


def _spread(n: int) -> np.ndarray:
    """Where channel i of `pixel_shuffle`'s order (channel, row, column) lies in ours (row, column, channel)."""
    return np.arange(n).reshape(4, n // 4).T.reshape(-1)


def fill_linear(layer: nn.Linear, p) -> None:
    """Our kernel [in, out], and bias, if any."""
    layer.load_state_dict({"weight": _t(np.asarray(p["kernel"]).T)} | ({"bias": _t(p["bias"])} if "bias" in p else {}))


def fill_conv(layer: nn.Conv2d, p, outs=slice(None), ins=slice(None)) -> None:
    """Our kernel HWIO and bias, with outputs and inputs in another order."""
    kernel = np.asarray(p["kernel"]).transpose(3, 2, 0, 1)
    layer.load_state_dict({"weight": _t(kernel[outs][:, ins]), "bias": _t(np.asarray(p["bias"])[outs])})


def generator(params) -> Generator:
    """Ours in PyTorch, with our weights (a nested dict as Linen makes it)."""
    classes, embedding = np.shape(params["Embed_0"]["embedding"])
    width_7, width_14 = np.shape(params["Conv_0"]["kernel"])[2], np.shape(params["Conv_1"]["kernel"])[3]
    inputs, hidden = np.shape(params["Dense_0"]["kernel"])
    g = Generator(classes, inputs - embedding, embedding, hidden, width_7, width_14)
    g.embed.load_state_dict({"weight": _t(params["Embed_0"]["embedding"])})
    fill_linear(g.dense_0, params["Dense_0"])
    fill_linear(g.dense_1, params["Dense_1"])
    fill_conv(g.conv_0, params["Conv_0"], outs=_spread(2 * width_7))
    fill_conv(g.conv_1, params["Conv_1"])
    fill_conv(g.conv_2, params["Conv_2"], outs=_spread(4))
    return g


def discriminator(params) -> Discriminator:
    """The same for D."""
    classes, hidden = np.shape(params["Embed_0"]["embedding"])
    width_14, width_7 = (np.shape(params[layer]["kernel"])[3] for layer in ("Conv_0", "Conv_1"))
    d = Discriminator(classes, width_14, width_7, hidden)
    fill_conv(d.conv_0, params["Conv_0"], ins=_spread(4))
    fill_conv(d.conv_1, params["Conv_1"], ins=_spread(4 * width_14))
    fill_conv(d.conv_2, params["Conv_2"])
    fill_linear(d.dense_0, params["Dense_0"])
    d.embed.load_state_dict({"weight": _t(params["Embed_0"]["embedding"])})
    fill_linear(d.dense_1, params["Dense_1"])
    return d


class Training:
    """The step of `training.algorithms.relativistic` with its state; `step(real, labels, z, gamma)` updates both."""

    def __init__(
        self,
        config,
        g: Generator,
        d: Discriminator,
        *,
        device="cpu",
        compiled=False,
        bfloat16=False,
        channels_last=False,
    ):
        form = torch.channels_last if channels_last else torch.contiguous_format
        self.g, self.d = (network.to(device, memory_format=form) for network in (g, d))
        self.ema, self.config, self.done = copy.deepcopy(g), config, 0
        self.low = functools.partial(torch.autocast, torch.device(device).type, torch.bfloat16, enabled=bfloat16)
        adam = {"lr": config.learning_rate, "betas": (config.beta1, config.beta2), "fused": True}
        self.g_opt, self.d_opt = torch.optim.Adam(g.parameters(), **adam), torch.optim.Adam(d.parameters(), **adam)
        self._generate, self._score, self._penalised = g, d, self._with_penalties_eagerly
        if compiled:
            self._generate, self._score = torch.compile(g), torch.compile(d)
            # A double backward through a compiled graph is refused; a `vjp` inside of it is part of the graph.
            self._penalised = torch.compile(self._with_penalties)

    def _with_penalties_eagerly(self, images, labels):
        images.requires_grad_()
        scores = self.d(images, labels)
        (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        return scores, gradient.float().square().flatten(1).sum(1)

    def _with_penalties(self, images, labels):
        scores, pullback = torch.func.vjp(lambda x: self.d(x, labels), images)
        (gradient,) = pullback(torch.ones_like(scores))
        return scores, gradient.float().square().flatten(1).sum(1)

    def _mismatched(self, real, fake, labels):
        if not self.config.mismatch_fraction:
            return fake
        place, group = torch.arange(len(labels), device=labels.device), round(1 / self.config.penalty_fraction)
        chosen = (place // group + place % group) % round(1 / self.config.mismatch_fraction) == 0
        other = chosen & (labels.roll(1) != labels)
        return torch.where(other[:, None, None, None], real.roll(1, 0), fake)

    def step(self, real, labels, z, gamma):
        """Real images [N, 1, 28, 28], labels [N], latents [N, L], the penalties' weight -> G's and D's loss, R1, R2."""
        group = round(1 / self.config.penalty_fraction)  # of so many pairs the first has penalties

        def part(x, members):
            return x.unflatten(0, (-1, group))[:, members].flatten(0, 1)

        def both(real, fake):
            return torch.cat([real, fake])

        with self.low():
            fake = self._generate(z, labels)
            fixed = self._mismatched(real, fake.detach().float(), labels)
            head, tail = slice(0, 1), slice(1, None)
            scores, penalties = self._penalised(
                both(part(real, head), part(fixed, head)), both(part(labels, head), part(labels, head))
            )
            score_real, score_fake = scores.chunk(2)
            if group > 1:
                rest = self._score(
                    both(part(real, tail), part(fixed, tail)), both(part(labels, tail), part(labels, tail))
                )
                rest_real, rest_fake = rest.chunk(2)
                score_real, score_fake = torch.cat([score_real, rest_real]), torch.cat([score_fake, rest_fake])
            d_loss = F.softplus((score_fake - score_real).float()).mean()
            r1, r2 = (part.mean() for part in penalties.chunk(2))
            total = d_loss + 0.5 * gamma * (r1 + r2)
        self.d_opt.zero_grad(set_to_none=True)
        total.backward()
        self.d_opt.step()

        self.d.requires_grad_(False)
        with self.low():
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
        return g_loss.detach(), d_loss.detach(), r1.detach(), r2.detach()
