# The cache of templates that sessions derive from; implemented in template_cache.pyx.

cdef class TemplateCache:
    # (method, origin or "" for the base, name, type and value of each option) -> RequestTemplate
    cdef readonly dict _templates
    cdef public object _headers         # the header fields of every request: a multidict
    cdef long long templates_version    # the version of `_headers` that the templates were made of
    # The last look-up in `_templates`.
    cdef object last_method
    cdef str last_origin
    cdef list last_constants            # as `key_of_options` returned it
    cdef RequestTemplate last_template

    cdef RequestTemplate get_template(self, method, str origin, list constants)
    cdef list read_options(self, dict options, CallOptions *call)
    cdef Exchange make_exchange(self, method, url, dict options)
    cdef BaseHttpResponse finish(self, Exchange exchange)
