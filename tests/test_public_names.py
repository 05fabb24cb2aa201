"""Every public name of Outlines 1.3 imports, with its signature. The adapters' names are in tests/models/."""

from __future__ import annotations

import importlib
import inspect

import pytest

import outlines

# Module -> names; a name may bring its parameters, as `inspect` writes them without annotations.
NAMES = {
    "outlines": """
        grammars inputs models processors types applications backends caching exceptions generator templates
        Application(template,output_type=None) Audio Image Video Template cfg json_schema regex
        Generator(model,output_type=None,backend=None,*,processor=None) Vision(prompt,image)
        clear_cache() disable_cache() get_cache
        """,
    "outlines.generator": """
        SteerableGenerator(model,output_type,backend_name=None) BlackBoxGenerator(model,output_type)
        AsyncBlackBoxGenerator(model,output_type)
        """,
    "outlines.inputs": "Image(image) Video(video) Audio(audio) Chat(messages=None)",
    "outlines.templates": """
        Vision(prompt,image) Template(template) build_template_from_string(content,filters={})
        build_template_from_file(path,filters={}) create_jinja_env(loader,filters) get_fn_name(fn) get_fn_args(fn)
        get_fn_description(fn) get_fn_source(fn) get_fn_signature(fn) get_schema(model) get_schema_dict(model)
        get_schema_pydantic(model) parse_pydantic_schema(raw_schema,definitions)
        parse_pydantic_schema_value(name,schema,definitions)
        """,
    "outlines.caching": """
        get_cache() cache(expire=None,typed=False,ignore=()) disable_cache() clear_cache() cache_disabled()
        CloudpickleDisk(directory,compress_level=1,**kwargs) _caching_enabled
        """,
    "outlines.grammars": "GRAMMAR_PATH read_grammar arithmetic json",
    "outlines.exceptions": """
        OutlinesError APIError(message=None,provider=None,original_exception=None,status_code=None,request_id=None)
        AuthenticationError PermissionDeniedError NotFoundError RateLimitError BadRequestError ServerError
        APITimeoutError APIConnectionError ProviderResponseError GenerationError is_provider_exception(exc,provider)
        normalize_provider_errors(provider) normalize_provider_exception(exc,provider) _build_exception_map
        _extract_status_code _extract_request_id
        """,
    "outlines.backends": """
        BaseBackend LogitsProcessorType SteerableModel CFG_DEFAULT_BACKEND JSON_SCHEMA_DEFAULT_BACKEND
        REGEX_DEFAULT_BACKEND _get_backend(backend_name,model)
        get_json_schema_logits_processor(backend_name,model,json_schema,whitespace_pattern=None)
        get_regex_logits_processor(backend_name,model,regex) get_cfg_logits_processor(backend_name,model,grammar)
        """,
    "outlines.backends.base": "BaseBackend LogitsProcessorType",
    "outlines.backends.xgrammar": """
        XGrammarBackend(model) XGrammarLogitsProcessor(compiled_grammar,tensor_library_name)
        """,
    "outlines.backends.llguidance": """
        LLGuidanceBackend(model) LLGuidanceLogitsProcessor(grammar,llg_tokenizer,tensor_library_name)
        """,
    "outlines.processors": "OutlinesLogitsProcessor(tensor_library_name)",
    "outlines.processors.base_logits_processor": "OutlinesLogitsProcessor TensorType",
    "outlines.processors.tensor_adapters": """
        MLXTensorAdapter NumpyTensorAdapter TorchTensorAdapter tensor_adapters TensorAdapterImplementation
        """,
    "outlines.models": "Model ModelTypeAdapter SteerableModel BlackBoxModel AsyncBlackBoxModel",
    "outlines.models.base": "ModelTypeAdapter Model AsyncModel",
    "outlines.models.tokenizer": "Tokenizer _check_hf_chat_template(tokenizer)",
    "outlines.types": """
        airports countries locale Regex(pattern) CFG JsonSchema Choice(items) regex(pattern) cfg(definition)
        json_schema(schema) optional(term) either(*terms) exactly(count,term) at_least(count,term) at_most(count,term)
        between(min_count,max_count,term) zero_or_more(term) one_or_more(term) string integer boolean number date time
        datetime digit char newline whitespace hex_str uuid4 ipv4 ipv6 semver mac_address hex_color slug credit_card
        iban bic e164 latitude longitude sentence paragraph email isbn
        """,
    "outlines.types.locale": "us",
    "outlines.types.locale.us": "zip_code phone_number",
    "outlines.types.airports": "AIRPORT_IATA_LIST IATA",
    "outlines.types.countries": """
        ALPHA_2_CODE Alpha2 ALPHA_3_CODE Alpha3 NUMERIC_CODE Numeric NAME Name FLAG Flag flag_mapping
        get_country_flags()
        """,
    "outlines.types.dsl": """
        Term String(value) Regex CFG JsonSchema Choice KleeneStar(term) KleenePlus(term) Optional(term)
        Alternatives(terms) Sequence(terms) QuantifyExact(term,count) QuantifyMinimum(term,min_count)
        QuantifyMaximum(term,max_count) QuantifyBetween(term,min_count,max_count)
        python_types_to_terms(ptype,recursion_depth=0) to_regex(term) _handle_literal(args)
        _handle_union(args,recursion_depth) _handle_list(args,recursion_depth) _handle_tuple(args,recursion_depth)
        _handle_dict(args,recursion_depth) _ensure_json_quoted(term,quote_regex=False)
        """,
    "outlines.types.utils": """
        is_int is_int_instance is_float is_float_instance is_str is_str_instance is_bool is_dict_instance is_datetime
        is_date is_time is_native_dict is_typing_dict is_typing_list is_typing_tuple is_union is_literal is_dataclass
        is_typed_dict is_pydantic_model is_genson_schema_builder is_enum is_callable get_enum_from_literal(value)
        get_enum_from_choice(value) get_schema_from_signature(fn) get_schema_from_enum(myenum)
        """,
    "outlines.types.json_schema_utils": """
        schema_type_to_python(schema,caller_target_type) json_schema_dict_to_typeddict(schema,name=None)
        json_schema_dict_to_pydantic(schema,name=None) json_schema_dict_to_dataclass(schema,name=None)
        """,
    "outlines._version": "__version__ version __version_tuple__ version_tuple __commit_id__ commit_id",
}
CASES = [(module, name) for module, names in NAMES.items() for name in names.split()]


def parameters(value) -> str:
    """Write the parameters of a callable as in NAMES."""
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in inspect.signature(value).parameters.values()]
    return str(inspect.Signature(plain)).replace(", ", ",").replace("'", '"')


@pytest.mark.parametrize(("module", "name"), CASES)
def test_name(module, name):
    name, _, expected = name.partition("(")
    value = getattr(importlib.import_module(module), name)
    if expected:
        ours, theirs = parameters(value)[1:-1].split(","), expected[:-1].split(",")
        assert ours[: len(theirs)] == theirs
        assert all("=" in added for added in ours[len(theirs) :])  # what we add, nobody has to give


@pytest.mark.parametrize("name", ["outlines_core", "llguidance", "xgrammar"])
def test_backends_of_other_engines(name):
    pytest.importorskip(name, reason=f"pip install outlines[{name}]")
    module = importlib.import_module(f"outlines.backends.{name}")
    backend = {"outlines_core": "OutlinesCore", "llguidance": "LLGuidance", "xgrammar": "XGrammar"}[name]
    assert getattr(outlines.backends, f"{backend}Backend") is getattr(module, f"{backend}Backend")
    assert issubclass(getattr(module, f"{backend}LogitsProcessor"), outlines.processors.OutlinesLogitsProcessor)


def test_public_lists_name_what_outlines_13_has():
    for module in ("outlines.backends", "outlines.exceptions", "outlines.types", "outlines.types.utils"):
        public = [name.partition("(")[0] for name in NAMES[module].split() if not name.startswith("_")]
        assert set(public) <= set(importlib.import_module(module).__all__)


def test_methods_of_generators_and_terms():
    for kind in ("SteerableGenerator", "BlackBoxGenerator", "AsyncBlackBoxGenerator"):
        for method in ("__call__", "batch", "stream"):
            assert callable(getattr(getattr(outlines.generator, kind), method))
    assert parameters(outlines.generator.SteerableGenerator.from_processor) == "(model,processor)"
    assert parameters(outlines.Template.from_string) == "(content,filters={})"
    assert parameters(outlines.Template.from_file) == "(path,filters={})"
    assert parameters(outlines.Application.__call__) == "(self,model,template_vars,**inference_kwargs)"
