"""The counting nets: their sizes, what each keeps, and that the written-out one and the loop are one function."""

import pytest
import torch

from bench import models

TOKENS = torch.randint(38, (5, 3), generator=torch.Generator().manual_seed(0))


def build(name):
    torch.manual_seed(0)
    return models.build(f"counting_rnn:{name}", {}, in_channels=1, classes=38, image_size=1)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("m0", 9_190), ("m1", 9_190), ("m2", 9_190), ("m3", 9_190), ("m4", 13_350), ("m5", 54_950)],
)
def test_it_has_the_lessons_number_of_parameters(name, parameters):
    assert sum(p.numel() for p in build(name).parameters()) == parameters


def test_the_loop_computes_what_the_steps_written_out_compute():
    # Zeros that are added to the first vector change nothing.
    assert torch.equal(build("m0")(TOKENS), build("m1")(TOKENS))


@pytest.mark.parametrize("name", ["m2", "m3", "m4", "m5"])
def test_it_answers_at_every_step_and_no_answer_sees_a_later_token(name):
    net = build(name).eval()
    answers = net(TOKENS)
    assert answers.shape == (5, 38, 3)
    other = TOKENS.clone()
    other[:, 2] = (other[:, 2] + 1) % 38
    changed = (build(name).eval()(other) != answers).any(dim=1)
    assert not changed[:, :2].any()
    assert changed[:, 2].all()


@pytest.mark.parametrize(("name", "keeps"), [("m2", False), ("m3", True), ("m4", True), ("m5", True)])
def test_a_batch_goes_on_where_the_one_before_ended_where_the_state_is_kept(name, keeps):
    net = build(name).eval()
    whole = net(TOKENS)
    net.eval()  # begins anew
    net(TOKENS[:, :2])
    assert torch.allclose(net(TOKENS[:, 2:])[:, :, 0], whole[:, :, 2], atol=1e-6) is keeps
    assert net.state is None or not net.state.requires_grad


def test_a_state_is_forgotten_where_evaluation_begins_and_by_a_batch_of_another_size():
    net = build("m5").eval()
    first = net(TOKENS)
    assert not torch.equal(net(TOKENS), first)
    assert torch.equal(net.train().eval()(TOKENS), first)
    assert torch.allclose(net(TOKENS[:2]), first[:2], atol=1e-6)


def test_a_made_up_batch_of_noise_is_read_as_tokens():
    assert build("m5")(torch.randn(4, 1, 1, 20)).isfinite().all()
