"""Text architectures that are compared with transformers, by task."""

CLASSIFIERS = (
    "BERT",
    "DistilBERT",
    "RoBERTa",
    "XLM-R",
    "CamemBERT",
    "DeBERTa",
    "DeBERTa-v2",
    "ALBERT",
    "MPNet",
    "ELECTRA",
    "ModernBERT",
    "MobileBERT",
    "SqueezeBERT",
    "ConvBERT",
    "ERNIE",
    "FNet",
    "BigBird",
    "RemBERT",
    "I-BERT",
    "Funnel",
    "XLNet",
    "Longformer",
    "GPT-2",
    "BART",
)
PAIRS = ("BERT", "RoBERTa", "ALBERT", "DeBERTa-v2", "ModernBERT", "XLNet")
TAGGERS = (
    "BERT",
    "DistilBERT",
    "RoBERTa",
    "XLM-R",
    "CamemBERT",
    "DeBERTa-v2",
    "ALBERT",
    "MPNet",
    "ELECTRA",
    "ModernBERT",
    "BigBird",
    "XLNet",
)
ENTAILERS = ("BART", "DeBERTa-v2", "RoBERTa", "DistilBERT", "ModernBERT")
FEATURES = ("BERT", "DistilBERT", "MPNet", "XLM-R", "ModernBERT", "ELECTRA")
EMBEDDERS = ("BERT", "MPNet", "XLM-R", "ModernBERT")
WRITING = ("T5", "mT5", "BART", "mBART", "Marian", "M2M100", "NLLB", "Pegasus", "LED")
WRITING_TASKS = (
    "translation",
    "text2text-generation",
    "summarization",
    "translation",
    "translation",
    "translation",
    "translation",
    "summarization",
    "text2text-generation",
)
CAPTIONERS = ("BLIP", "ViT+GPT2", "GIT")

CASES: tuple[tuple[str, str], ...] = (
    *(("text-classification", name) for name in CLASSIFIERS),
    *(("text-classification of pairs", name) for name in PAIRS),
    *(("token-classification", name) for name in TAGGERS),
    *(("zero-shot-classification", name) for name in ENTAILERS),
    *(("feature-extraction", name) for name in FEATURES),
    *(("sentence-similarity", name) for name in EMBEDDERS),
    *zip(WRITING_TASKS, WRITING, strict=True),
    *(("image-to-text", name) for name in CAPTIONERS),
)
