"""What is measured: each public function prepares one measurement and returns its sampler.

A module imports the library it measures inside its functions where several libraries share the module, and at
the top where it has but one; either way only the worker that measures it loads the library.
"""
