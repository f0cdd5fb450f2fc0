// SPDX-License-Identifier: MIT
//! wane from Rust, by the symbols of the library: what a -sys crate declares, and a safe handle above it.
//!
//!     rustc -l wane cycle.rs && ./cycle

mod sys {
    #![allow(dead_code)]
    use std::os::raw::{c_char, c_int, c_uint, c_void};

    pub const ABI: c_int = 1; // WANE_ABI of the headers that these declarations were written from

    #[repr(C)]
    pub struct Slot(pub usize);

    /// struct wane_type. The library registers it: keep it for ever, at one place.
    #[repr(C)]
    pub struct Type {
        pub name: *const c_char,
        pub size: usize,
        pub slots: *const u32,
        pub slot_count: usize,
        pub trace: Option<extern "C" fn(*const c_void, *mut c_void)>,
        pub dispose: Option<extern "C" fn(*mut c_void)>,
        pub finalize: Option<extern "C" fn(*mut c_void)>,
        pub flags: c_uint,
        pub id: u32,
    }

    #[repr(C)]
    #[derive(Default)]
    pub struct Collected {
        pub candidates: usize,
        pub examined: usize,
        pub suspects: usize,
        pub freed: usize,
        pub components: usize,
        pub finalized: usize,
        pub aborted: usize,
        pub nanoseconds: u64,
    }

    #[link(name = "wane")]
    extern "C" {
        pub fn wane_need_abi(abi: c_int);
        pub fn wane_new(t: *mut Type) -> *mut c_void;
        pub fn wane_retain(object: *mut c_void) -> *mut c_void;
        pub fn wane_release(object: *mut c_void);
        pub fn wane_enter();
        pub fn wane_leave();
        pub fn wane_peek(slot: *const Slot) -> *mut c_void;
        pub fn wane_set(slot: *mut Slot, object: *mut c_void);
        pub fn wane_collect(generation: c_int, result: *mut Collected) -> c_int;
        pub fn wane_shutdown() -> c_int;
    }
}

use std::marker::PhantomData;
use std::os::raw::c_void;

/// A kind of object. Unsafe to implement: `slots` must name each `Slot` field, and the fields must be valid when zero.
unsafe trait Object: Sized + 'static {
    fn describe() -> *mut sys::Type;
}

/// Owns one reference.
struct Ref<T: Object>(*mut T);

impl<T: Object> Ref<T> {
    fn new() -> Option<Self> {
        let object = unsafe { sys::wane_new(T::describe()) } as *mut T;
        if object.is_null() { None } else { Some(Ref(object)) }
    }
}

impl<T: Object> Clone for Ref<T> {
    fn clone(&self) -> Self {
        Ref(unsafe { sys::wane_retain(self.0 as *mut c_void) } as *mut T)
    }
}

impl<T: Object> Drop for Ref<T> {
    fn drop(&mut self) {
        unsafe { sys::wane_release(self.0 as *mut c_void) }
    }
}

impl<T: Object> std::ops::Deref for Ref<T> {
    type Target = T;
    fn deref(&self) -> &T {
        unsafe { &*self.0 }
    }
}

/// While it lives, what is peeked stays valid. Not Send: a section belongs to its thread.
struct Section(PhantomData<*mut ()>);

impl Section {
    fn new() -> Self {
        unsafe { sys::wane_enter() };
        Section(PhantomData)
    }

    /// The caller says that the slot is one of `T`s, of a container that stays held as long as the result is used.
    unsafe fn peek<T: Object>(&self, slot: &sys::Slot) -> Option<&T> {
        (sys::wane_peek(slot) as *const T).as_ref()
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        unsafe { sys::wane_leave() }
    }
}

#[repr(C)]
struct Person {
    age: u64,
    friend: sys::Slot,
}

static FRIEND: [u32; 1] = [8]; // the offset of `friend`

unsafe impl Object for Person {
    fn describe() -> *mut sys::Type {
        static mut TYPE: sys::Type = sys::Type {
            name: b"Person\0" as *const u8 as *const std::os::raw::c_char,
            size: std::mem::size_of::<Person>(),
            slots: &FRIEND as *const u32,
            slot_count: 1,
            trace: None,
            dispose: None,
            finalize: None,
            flags: 0,
            id: 0,
        };
        #[allow(unused_unsafe)] // compilers after 1.80 ask for none
        let address = unsafe { std::ptr::addr_of_mut!(TYPE) };
        address
    }
}

fn befriend(one: &Ref<Person>, other: &Ref<Person>) {
    unsafe { sys::wane_set(std::ptr::addr_of_mut!((*one.0).friend), other.0 as *mut c_void) }
}

fn make_cycle() -> Option<()> {
    let (ann, bob) = (Ref::<Person>::new()?, Ref::<Person>::new()?);

    unsafe { (*bob.0).age = 40 };
    befriend(&ann, &bob);
    befriend(&bob, &ann.clone());
    let section = Section::new();
    let friend: &Person = unsafe { section.peek(&ann.friend) }?;
    assert_eq!(friend.age, 40);
    Some(())
}

fn main() {
    let mut found = sys::Collected::default();

    unsafe { sys::wane_need_abi(sys::ABI) };
    make_cycle().expect("memory");
    assert_eq!(unsafe { sys::wane_collect(2, &mut found) }, 0);
    println!("freed {} objects in {} cycle", found.freed, found.components);
    std::process::exit(unsafe { sys::wane_shutdown() });
}
