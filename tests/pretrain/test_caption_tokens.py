"""The tokenizer that is learnt from captions: byte pairs by their definition, words as single tokens, any other text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from penumbra.models.latent import CLIPTokenizer
from penumbra.pretrain import captions


def test_words_of_captions_are_single_tokens_and_any_text_has_its_own(tmp_path):
    texts = ["a photo of the digit three", "THREE trees, it's 42!", "fjörd"]
    tokenizer = captions.build_tokenizer(texts, 9)
    assert [len(tokenizer.tokenize(word)) for word in ("photo", "three", "trees", "fjörd", "Digit")] == [1] * 5
    strange = ["zzz", "threes", "tree", "日本", "a-b", "?", "œ"]
    encoded = {tuple(tokenizer(text, verbose=False).input_ids) for text in strange}
    assert len(encoded) == len(strange)
    assert not any(tokenizer.eos_token_id in ids[1:-1] for ids in encoded)
    tokenizer.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    assert [loaded(text, verbose=False).input_ids for text in strange + texts] == [
        tokenizer(text, verbose=False).input_ids for text in strange + texts
    ]
    assert loaded.model_max_length == 9
    assert tokenizer.get_vocab() == captions.build_tokenizer(reversed(texts), 9).get_vocab()


def test_byte_symbols_are_those_of_the_library():
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(captions.byte_symbols()) == sorted(ByteLevel.alphabet())
    assert "".join(captions.byte_symbols()[:3]) == '!"#'


def test_merges_are_byte_pair_encoding():
    assert captions.learn_merges({"low": 5, "lot": 2, "new": 1}) == [
        ("l", "o"),
        ("lo", "w</w>"),
        ("lo", "t</w>"),
        ("e", "w</w>"),
        ("n", "ew</w>"),
    ]


def counted_anew(words):
    """Byte-pair encoding by its definition: all pairs of all words are counted before each merge."""
    split = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges = []
    while pairs := sorted({pair for symbols in split.values() for pair in zip(symbols, symbols[1:], strict=False)}):
        counts = {pair: sum(words[word] * list(zip(s, s[1:], strict=False)).count(pair) for word, s in split.items()) for pair in pairs}
        best = max(pairs, key=counts.get)  # the first of equals
        merges.append(best)
        for symbols in split.values():
            at = 0
            while at < len(symbols) - 1:
                if (symbols[at], symbols[at + 1]) == best:
                    symbols[at : at + 2] = ["".join(best)]
                at += 1
    return merges


@given(st.dictionaries(st.text("abc", min_size=1, max_size=8), st.integers(1, 5), max_size=12))
@settings(max_examples=150)
def test_merges_are_those_of_counting_all_words_anew(words):
    assert captions.learn_merges(words) == counted_anew(words)
