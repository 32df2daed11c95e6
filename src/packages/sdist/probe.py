import importlib.util
import json
import os
import sysconfig

found = {"pip": None, "wheels": []}
spec = importlib.util.find_spec("pip")
for place in (spec.submodule_search_locations or []) if spec else []:
    if os.path.isfile(os.path.join(place, "__main__.py")):
        found["pip"] = os.path.abspath(place)
        break
places = [sysconfig.get_config_var("WHEEL_PKG_DIR")]
spec = importlib.util.find_spec("ensurepip")
if spec and spec.origin:
    places.append(os.path.join(os.path.dirname(spec.origin), "_bundled"))
for place in places:
    if place and os.path.isdir(place):
        for name in sorted(os.listdir(place)):
            if name.startswith("pip-") and name.endswith(".whl"):
                found["wheels"].append(os.path.join(place, name))
print("\n" + json.dumps(found))
