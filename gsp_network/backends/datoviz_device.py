"""What Datoviz can do here, found out without Datoviz: it ends its process where others raise.

Vulkan itself is asked, by ctypes through the loader that Datoviz brings. Run this in a throw-away process: a driver may crash.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

NO_DRIVER = (
    "there is no Vulkan driver: install your GPU's, or a software one (Debian and Ubuntu: apt install "
    "mesa-vulkan-drivers; Fedora: dnf install mesa-vulkan-drivers)"
)

# VkPhysicalDeviceType, by how Datoviz prefers them
_KINDS = {2: "discrete GPU", 1: "integrated GPU", 3: "virtual GPU", 4: "software", 0: "other"}

# In VkPhysicalDeviceProperties: 5 numbers, a name of 256 bytes, a UUID of 16, 4 to align; then the limits, of which
# maxImageDimension2D is the second.
_NAME_OFFSET, _IMAGE_2D_OFFSET = 20, 300
_HEAP_DEVICE_LOCAL = 1


@dataclass(frozen=True)
class Device:
    """The GPU that Datoviz draws with.

    Attributes:
        reason: why none can be used, and what to install; empty where one can.
        device: its name.
        driver: what kind it is, and the Vulkan version that it speaks.
        limits: what it can do: maxImageDimension2D (px), by Vulkan's name, and memoryHeapSize (bytes), its own memory, which
            Vulkan calls the size of a VkMemoryHeap.
    """

    reason: str = ""
    device: str = ""
    driver: str = ""
    limits: dict[str, int] = field(default_factory=dict)


class _ApplicationInfo(ctypes.Structure):
    _fields_ = [
        ("sType", ctypes.c_uint32),
        ("pNext", ctypes.c_void_p),
        ("pApplicationName", ctypes.c_char_p),
        ("applicationVersion", ctypes.c_uint32),
        ("pEngineName", ctypes.c_char_p),
        ("engineVersion", ctypes.c_uint32),
        ("apiVersion", ctypes.c_uint32),
    ]


class _InstanceCreateInfo(ctypes.Structure):
    _fields_ = [
        ("sType", ctypes.c_uint32),
        ("pNext", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("pApplicationInfo", ctypes.POINTER(_ApplicationInfo)),
        ("enabledLayerCount", ctypes.c_uint32),
        ("ppEnabledLayerNames", ctypes.c_void_p),
        ("enabledExtensionCount", ctypes.c_uint32),
        ("ppEnabledExtensionNames", ctypes.POINTER(ctypes.c_char_p)),
    ]


class _MemoryProperties(ctypes.Structure):
    _fields_ = [
        ("memoryTypeCount", ctypes.c_uint32),
        ("memoryTypes", ctypes.c_uint32 * (2 * 32)),
        ("memoryHeapCount", ctypes.c_uint32),
        ("memoryHeaps", ctypes.c_uint64 * (2 * 16)),  # size and flags each
    ]


def look() -> str:
    """The `Device` of this machine as a JSON object; never raises, but a broken driver may end the process."""
    try:
        found = find_device()
    except Exception as exc:  # noqa: BLE001 - whatever it is, the server must learn that there is no Datoviz, and why
        found = Device(f"Vulkan cannot be asked: {type(exc).__name__}: {exc}")
    return json.dumps(asdict(found))


def find_device() -> Device:
    """The GPU that Datoviz takes: the first of the best kind."""
    loader = _loader()
    if loader is None:
        return Device("there is no Vulkan loader (libvulkan); " + NO_DRIVER)
    instance = _instance(loader)
    if instance is None:
        return Device(NO_DRIVER)
    try:
        count = ctypes.c_uint32()
        loader.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
        handles = (ctypes.c_void_p * count.value)()
        loader.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
        devices = [_properties(loader, handle) for handle in handles[: count.value] if handle]
    finally:
        loader.vkDestroyInstance(instance, None)
    if not devices:
        return Device(NO_DRIVER)
    return min(devices, key=lambda device: list(_KINDS.values()).index(device.driver.partition(",")[0]))


def _loader() -> Optional[Any]:
    """The Vulkan loader that Datoviz brings, else the system's."""
    names = {"darwin": "libvulkan.1.dylib", "win32": "vulkan-1.dll"}
    name = names.get(sys.platform, "libvulkan.so.1")
    found = importlib.util.find_spec("datoviz")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    for path in [os.path.join(place, name) for place in places] + [name]:
        try:
            loader = ctypes.CDLL(path)
        except OSError:
            continue
        loader.vkEnumeratePhysicalDevices.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        for function in ("vkGetPhysicalDeviceProperties", "vkGetPhysicalDeviceMemoryProperties", "vkDestroyInstance"):
            getattr(loader, function).argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            getattr(loader, function).restype = None
        return loader
    return None


def _instance(loader: Any) -> Optional[ctypes.c_void_p]:
    application = _ApplicationInfo(sType=0, apiVersion=1 << 22)  # VK_API_VERSION_1_0
    wanted = _InstanceCreateInfo(sType=1, pApplicationInfo=ctypes.pointer(application))
    if sys.platform == "darwin":  # MoltenVK is shown only to who asks for it
        wanted.flags = 1
        wanted.enabledExtensionCount = 1
        wanted.ppEnabledExtensionNames = (ctypes.c_char_p * 1)(b"VK_KHR_portability_enumeration")
    instance = ctypes.c_void_p()
    made: int = loader.vkCreateInstance(ctypes.byref(wanted), None, ctypes.byref(instance))
    return instance if made == 0 else None


def _properties(loader: Any, handle: int) -> Device:
    data = ctypes.create_string_buffer(2048)  # the structure has 824 bytes
    loader.vkGetPhysicalDeviceProperties(handle, data)
    version, _, _, _, kind = (ctypes.c_uint32 * 5).from_buffer(data)
    name = ctypes.string_at(ctypes.addressof(data) + _NAME_OFFSET).decode("utf-8", "replace")
    side = ctypes.c_uint32.from_buffer(data, _IMAGE_2D_OFFSET).value
    memory = _MemoryProperties()
    loader.vkGetPhysicalDeviceMemoryProperties(handle, ctypes.byref(memory))
    heaps = [memory.memoryHeaps[2 * index : 2 * index + 2] for index in range(memory.memoryHeapCount)]
    own = [size for size, flags in heaps if flags & _HEAP_DEVICE_LOCAL] or [size for size, _ in heaps]
    limits = {"maxImageDimension2D": side, "memoryHeapSize": int(max(own, default=0))}
    spoken = f"{_KINDS.get(kind, 'other')}, Vulkan {version >> 22}.{version >> 12 & 0x3FF}.{version & 0xFFF}"
    return Device("", name, spoken, limits)


def draw_in_memory() -> bool:
    """Whether Datoviz's in-memory server, which is undocumented, gives the picture that it should; may end the process."""
    from .datoviz_frames import MemoryFrames

    return _draws(MemoryFrames())


def draw_by_file() -> bool:
    """The same for a fresh App and a screenshot, as Datoviz documents."""
    from .datoviz_frames import FileFrames

    return _draws(FileFrames())


def _draws(frames: Any) -> bool:
    """Draw half a canvas red, twice, and look at it."""
    import numpy as np

    from .datoviz_parts import Part, Triangles
    from .tessellation import Mesh

    corners = np.array([[0.0, 0.0], [8.0, 0.0], [8.0, 8.0], [0.0, 8.0]])
    mesh = Mesh(corners, np.array([[255, 0, 0, 255]] * 4, np.uint8), np.array([0, 1, 2, 0, 2, 3], np.uint32))
    wanted = np.full((8, 16, 3), 255, np.uint8)
    wanted[:, :8, 1:] = 0
    for _ in range(2 if frames.retained else 1):
        picture = frames.draw(16, 8, [Part("probe", (0, 0, 16, 8), Triangles(mesh))])
        if not np.array_equal(picture, wanted):
            return False
    return True
