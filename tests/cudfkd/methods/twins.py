"""Twins: slow loops of the methods, written from the authors' code, without the package's methods, losses and engine.

Numbers in the loops are the authors' settings. An option is read only where our docstrings name another value. Each
loop has faults: changes that a test must notice.
"""

from math import exp

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.cudfkd.methods.twin import Twin


def look(teacher: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the input of the last linear layer."""
    feature = teacher.classifier[1](teacher.classifier[0](teacher.features(x).flatten(1)))
    return teacher.classifier[2](feature), feature


def look_at_norms(teacher: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the distance from the statistics of the BatchNorm layers."""
    distances = []

    def hook(layer: nn.Module, inputs: tuple, _: Tensor) -> None:
        values = inputs[0].transpose(0, 1).flatten(1)
        distances.append((layer.running_var - values.var(1, unbiased=False)).pow(2).sum().sqrt())
        distances.append((layer.running_mean - values.mean(1)).pow(2).sum().sqrt())

    handles = [layer.register_forward_hook(hook) for layer in teacher.modules() if isinstance(layer, nn.BatchNorm2d)]
    t = teacher(x)
    for handle in handles:
        handle.remove()
    return t, sum(distances)


def batch_kl(s: Tensor, t: Tensor, reduction: str = "batchmean", T: float = 1.0) -> Tensor:
    """KL divergence: summed and divided by the batch, or of each sample and class ("none")."""
    return (
        functional.kl_div(functional.log_softmax(s / T, 1), functional.softmax(t / T, 1), reduction=reduction) * T * T
    )


def certain(t: Tensor) -> Tensor:
    return functional.cross_entropy(t, t.detach().max(1)[1])


def spread(t: Tensor, logarithm=torch.log, T: float = 1.0) -> Tensor:
    """The negative entropy of the mean prediction."""
    p = functional.softmax(t / T, 1).mean(0)
    return (p * logarithm(p)).sum()


def cudfkd(w: Twin) -> None:
    c, o, adversarial = w.c, w.o, w.o.adv_start
    w.adam = torch.optim.Adam(w.generator.parameters(), o.generator_lr, betas=(0.9, 0.99))
    first, last = int(c.epochs * o.adv_begin), int(c.epochs * o.adv_finish)
    rise, known = (o.adv_end - o.adv_start) / (last - first - 1), 0
    for epoch in w.rounds():
        if epoch > known:
            adversarial, known = adversarial + rise * (first < known < last), epoch
        w.generator.train()
        w.student.train(w.fault == "student in train mode")
        x = w.seen(w.generator(w.latents()))
        t, norms = look_at_norms(w.teacher, x)
        s = w.student(x)
        agree = (s.max(1)[1] == t.max(1)[1]).double()
        if w.fault == "all samples":
            agree = torch.ones_like(agree)
        adversary = -(batch_kl(s, t, "none", T=3).sum(1) * agree).mean()
        loss = o.class_entropy * spread(t, T=o.temperature) + o.one_hot * certain(t) + o.bn * norms
        w.set_rate(w.adam, o.generator_lr)
        w.descend(w.adam, loss + adversarial * adversary)
        w.student.train()
        for z in w.of_the_round():
            x = w.seen(w.made(z, train=w.fault == "images of train mode"))
            t, s = w.teacher(x), w.student(x)
            losses = (s - t).abs().mean() if c.curriculum.granularity == "batch" else (s - t).abs().mean(1)
            alpha = (c.curriculum.lam_end - c.curriculum.lam_start) / (c.epochs * c.steps_per_epoch)
            lam = c.curriculum.lam_start + alpha * w.step
            v = (1 + exp(-lam)) / (1 + (losses.detach() - lam).exp())
            w.study((v * losses).mean())


def dfq(w: Twin) -> None:
    betas = (0.9, 0.999) if w.fault == "betas of the default" else (0.5, 0.999)
    w.adam = torch.optim.Adam(w.generator.parameters(), w.o.generator_lr, betas=betas)
    for _ in w.rounds():
        w.student.train(w.fault == "student in train mode")
        w.generator.train()
        x = w.seen(w.generator(w.latents()))
        t, norms = look_at_norms(w.teacher, x)
        s, of_teacher = w.student(x), t.detach() if w.fault == "teacher without gradient" else t
        w.descend(w.adam, 1 * norms + 1 * certain(t) - 1 * batch_kl(s, of_teacher) + 20 * spread(t))
        w.student.train()
        for z in w.of_the_round():
            x = w.seen(w.made(z, train=w.fault == "images of train mode"))
            w.study(batch_kl(w.student(x), w.teacher(x)))


def of_dafl(t: Tensor, feature: Tensor) -> Tensor:
    return 1 * certain(t) + 5 * spread(t, torch.log10) + 0.1 * -feature.abs().mean()


def dafl(w: Twin) -> None:
    for _ in w.rounds():
        z = w.latents()
        x = w.generator(z)
        t, feature = look(w.teacher, x)
        loss = of_dafl(t, feature.detach() if w.fault == "no activation" else feature)
        if w.fault == "images after the step":
            w.descend(w.adam, loss)
            x = w.made(z, train=True)
            w.study(batch_kl(w.student(x), w.teacher(x)))
        else:
            w.study(batch_kl(w.student(x.detach()), t.detach()))
            w.descend(w.adam, loss)


def dfad(w: Twin) -> None:
    for _ in w.rounds():
        w.set_rate(w.adam, w.o.generator_lr)
        w.student.train(w.fault != "student in eval mode")
        w.generator.train()
        x = w.generator(w.latents())
        t = w.teacher(x)
        w.descend(w.adam, -functional.l1_loss(w.student(x), t.detach() if w.fault == "teacher without gradient" else t))
        w.student.train()
        for z in w.of_the_round():
            x = w.made(z, train=w.fault != "images of eval mode")
            w.study(functional.l1_loss(w.student(x), w.teacher(x)))


def maps(network: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits, and unit vectors of the last maps of each size."""
    kept = []
    for number, layer in enumerate(network.features):
        x = layer(x)
        if number in (2, 3, 6, 7):
            kept.append(functional.normalize(x.pow(2).mean(1).reshape(len(x), -1)))
    return network.classifier(x.flatten(1)), kept


def zskt(w: Twin) -> None:
    clip = None if w.fault == "no clipping" else w.o.clip * 10  # ten classes
    for _ in w.rounds():
        w.set_rate(w.adam, w.o.generator_lr)
        w.student.train(w.fault != "student in eval mode")
        z = w.latents()
        x = w.generator.train()(z)
        w.descend(w.adam, -10 * batch_kl(w.student(x), w.teacher(x), "none").mean(), clip)
        w.student.train()
        for _ in range(10):
            if w.fault == "new latents":
                z = w.latents()
            x = w.made(z, train=w.fault != "images of eval mode")
            (t, of_teacher), (s, of_student) = maps(w.teacher, x), maps(w.student, x)
            attention = sum((a - b).pow(2).mean() for a, b in zip(of_student, of_teacher, strict=True))
            w.study(10 * (batch_kl(s, t, "none").mean() + 250 * attention), clip)


def adversary(w: Twin) -> None:
    """A step of the generator in the code of PRE-DFKD."""
    w.student.train(w.fault != "student in eval mode")
    x = w.generator.train()(w.latents())
    t, feature = look(w.teacher, x)
    of_teacher = t if w.fault == "gradient through the teacher" else t.detach()
    p, q = functional.softmax(of_teacher / 3, 1), functional.softmax(w.student(x) / 3, 1)
    middle = (0.5 * (p + q)).clamp(0.01, 0.99)
    kl_div = nn.KLDivLoss(reduction="none")
    parts = [kl_div(x.clamp(0.01, 0.99).log(), middle).mean() for x in (p, q)]
    w.descend(w.adam, of_dafl(t, feature) + 1 - (0.5 * parts[0] + 0.5 * parts[1]).clamp(0, 1))
    w.student.train()


def mb_dfkd(w: Twin) -> None:
    bank: list[Tensor] = []  # in half precision
    written, size = 0, w.c.batch_size
    for _ in w.rounds():
        adversary(w)
        for step in range(10):
            fresh = w.made(w.latents(), train=w.fault != "images of eval mode")
            x, old = fresh, []
            if bank and w.fault != "no bank":
                old = [w.seen(bank[i].double()) for i in w.integers(len(bank), round(size / 4)).tolist()]
                x = torch.cat([fresh[: size - len(old)], torch.stack(old)])
            if step == 0:
                for image in fresh[: size - len(old)] * w.c.std[0] + w.c.mean[0]:
                    bank[written % w.o.memory_size : written % w.o.memory_size + 1] = [image.half()]
                    written += 1
            w.study(functional.l1_loss(w.student(x), w.teacher(x)))


def better(w: Twin, decoder: nn.Module, z: Tensor) -> Tensor:
    """Latents after a step of Adam. The gradient stays in the decoder."""
    z.requires_grad_()
    adam = torch.optim.Adam([z], lr=0.02)
    t = w.teacher(decoder(z))
    moments = functional.mse_loss(z.var(0), torch.ones(z.shape[1])) + functional.mse_loss(
        z.mean(0), torch.zeros(z.shape[1])
    )
    (5 * spread(t, torch.log10) + 1 * certain(t) + moments).backward()
    if w.fault != "latents as they are":
        adam.step()
    return z.detach()


def pre_dfkd(w: Twin) -> None:
    encoder, decoder = w.networks["encoder"], w.networks["decoder"]
    adams = [torch.optim.Adam(network.parameters(), lr=0.02 / 40) for network in (decoder, encoder)]
    size, replayed = w.c.batch_size, 2  # the least number of replayed images
    for number, _ in enumerate(w.rounds()):
        adversary(w)
        for step, of_batch in enumerate(w.of_the_round()):
            fresh = w.made(of_batch, train=True)
            decoder.train(w.fault == "decoder in train mode")
            x = decoder(better(w, decoder, w.noise(replayed, w.o.latent_dim))).detach()
            x = torch.cat([fresh[: size - replayed], x])
            w.study(functional.l1_loss(w.student(x), w.teacher(x)))
            if step >= 4:
                continue
            decoder.train()
            encoder.train()
            x = fresh[: size // 2]
            decoder.zero_grad()
            encoder.zero_grad()
            if number > 0:
                z = better(w, decoder, w.noise(replayed, w.o.latent_dim))
                x = torch.cat([x, decoder(z).detach()])
                if w.fault == "decoder's gradient set to 0":
                    decoder.zero_grad()
            mean, log_var = encoder(x)
            again = decoder(w.noise(*mean.shape) * torch.exp(0.5 * log_var) + mean)
            prior = torch.mean(-0.5 * torch.sum(1 + log_var - mean**2 - log_var.exp(), dim=1), dim=0)
            (
                functional.l1_loss(again, x) + functional.l1_loss(w.teacher(again), w.teacher(x)) + 1e-5 * prior
            ).backward()
            for adam in adams:
                adam.step()


def shifted(w: Twin, images: Tensor) -> Tensor:
    """Each image mirrored at random, and shifted by up to two pixels each way, with black borders."""
    n, size = len(images), images.shape[-1]
    across, down, mirror = w.integers(5, n), w.integers(5, n), w.integers(2, n)
    result = []
    for image, a, d, m in zip(images, across.tolist(), down.tolist(), mirror.tolist(), strict=True):
        framed = functional.pad(image, (2, 2, 2, 2))[:, d : d + size, a : a + size]
        result.append(framed.flip(2) if m and w.fault != "no mirror" else framed)
    return torch.stack(result)


def kd(w: Twin, pixels: Tensor, labels: Tensor) -> None:
    for _ in range(w.c.epochs * w.c.steps_per_epoch):
        x = w.seen(shifted(w, pixels[w.integers(len(labels), w.c.batch_size)]))
        w.study(batch_kl(w.student(x), w.teacher(x), T=1 if w.fault == "temperature 1" else 4))


def scratch(w: Twin, pixels: Tensor, labels: Tensor) -> None:
    for _ in range(w.c.epochs * w.c.steps_per_epoch):
        index = w.integers(len(labels), w.c.batch_size)
        w.study(functional.cross_entropy(w.student(w.seen(shifted(w, pixels[index]))), labels[index]))


def noise(w: Twin) -> None:
    for _ in range(w.c.epochs * w.c.steps_per_epoch):
        x = w.noise(w.c.batch_size, 1, 16, 16)
        if w.fault != "no clipping":
            x = x.clamp((0 - w.c.mean[0]) / w.c.std[0], (1 - w.c.mean[0]) / w.c.std[0])
        w.study(batch_kl(w.student(x), w.teacher(x)))
