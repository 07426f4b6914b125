"""Sampling row by row: each answer of a batch has its own temperature and its own random numbers, whatever it is batched with."""

from collections.abc import Sequence
from typing import Any

from shared.captions.engines.engine import Sampling


def row_sampler(samplings: Sequence[Sampling], device: Any) -> Any:
    """A logits processor after which the greedy choice is a sample: the Gumbel-max trick (Gumbel, 1954), on the CPU's numbers.

    Temperature 0 stays greedy. top_k and top_p cut first, as in transformers' own warpers.
    """
    import torch
    from transformers import LogitsProcessor, TopKLogitsWarper, TopPLogitsWarper

    generators = [torch.Generator().manual_seed(sampling.seed) for sampling in samplings]

    class RowSampler(LogitsProcessor):
        def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
            scores = scores.float()
            for row, sampling in enumerate(samplings):
                temperature = 1.0 if sampling.temperature is None else sampling.temperature
                if temperature < 1e-5:
                    continue
                one = scores[row : row + 1] / temperature
                if sampling.top_k:
                    one = TopKLogitsWarper(sampling.top_k)(input_ids, one)
                if sampling.top_p is not None and sampling.top_p < 1:
                    one = TopPLogitsWarper(sampling.top_p)(input_ids, one)
                uniform = torch.rand(one.shape, generator=generators[row]).clamp_(1e-20, 1 - 1e-7)
                scores[row] = (one - torch.log(-torch.log(uniform)).to(device))[0]
            return scores

    return RowSampler()


def penalty_of(samplings: Sequence[Sampling]) -> Any:
    """The repetition penalty of each row (Keskar et al., 2019), or None where there is none."""
    import torch
    from transformers import LogitsProcessor

    values = [sampling.repetition_penalty or 1.0 for sampling in samplings]
    if all(value == 1.0 for value in values):
        return None

    class RowPenalty(LogitsProcessor):
        def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
            penalty = torch.tensor(values, device=scores.device, dtype=scores.dtype).unsqueeze(1)
            seen = torch.gather(scores, 1, input_ids)
            return scores.scatter(1, input_ids, torch.where(seen < 0, seen * penalty, seen / penalty))

    return RowPenalty()
