"""A tokenizer made from the captions of images, in the format of CLIP's."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from itertools import pairwise

from penumbra.models import vision  # noqa: F401  transformers imports torchvision, which needs its door opened first

from transformers import CLIPTokenizer  # isort: skip

END_OF_WORD = "</w>"
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def byte_symbols() -> list[str]:
    """The 256 printable characters that stand for the bytes of a text, in the order of CLIP's vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def learn_merges(words: dict[str, int]) -> list[tuple[str, str]]:
    """Byte-pair encoding (Sennrich et al. 2016) of words -> count, until every word is one token; equal counts go by the alphabet.

    A merge recounts only the words that hold its pair, so the time grows with the letters of the vocabulary, not with its square.
    """
    split = {word: [*word[:-1], word[-1] + END_OF_WORD] for word in words}
    counts: Counter[tuple[str, str]] = Counter()
    holders: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for word, symbols in split.items():
        for pair in pairwise(symbols):
            counts[pair] += words[word]
            holders[pair].add(word)
    queue = [(-count, pair) for pair, count in counts.items()]
    heapify(queue)
    merges: list[tuple[str, str]] = []
    while queue:
        count, best = heappop(queue)
        if counts[best] != -count:
            continue  # of before a merge that changed it
        merges.append(best)
        changed = set()
        for word in holders.pop(best):
            for pair in pairwise(split[word]):
                counts[pair] -= words[word]
                changed.add(pair)
            split[word] = _merged(split[word], best)
            for pair in pairwise(split[word]):
                counts[pair] += words[word]
                holders[pair].add(word)
                changed.add(pair)
        for pair in changed:
            if counts[pair]:
                heappush(queue, (-counts[pair], pair))
    return merges


def _merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


def build_tokenizer(texts: Iterable[str], length: int) -> CLIPTokenizer:
    """A tokenizer for prompts of `length` tokens; each word of the texts is one token, others fall apart into known parts or bytes."""
    symbols = byte_symbols()
    alphabet = [*symbols, *(symbol + END_OF_WORD for symbol in symbols)]
    bare = _clip(alphabet, [], length).backend_tokenizer
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in bare.pre_tokenizer.pre_tokenize_str(bare.normalizer.normalize_str(text)))
    merges = learn_merges(dict(sorted(words.items())))
    tokens = dict.fromkeys([*alphabet, *("".join(pair) for pair in merges)])
    return _clip(list(tokens), merges, length)


def _clip(tokens: list[str], merges: list[tuple[str, str]], length: int) -> CLIPTokenizer:
    vocabulary = {token: index for index, token in enumerate([*tokens, *SPECIAL])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=length)
