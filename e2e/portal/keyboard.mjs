// A person without a mouse: walks by Tab, acts by Enter and Space, and counts
// the keys that are not text.
import assert from 'node:assert/strict'

export function keyboard(page) {
  let keys = 0
  page.mouse.click = page.mouse.move = page.mouse.down = () => {
    throw new Error('this story has no mouse')
  }
  const press = async k => {
    keys++
    await page.keyboard.press(k)
  }
  // to walks to an element; from a dialog's or page's beginning if need be.
  const to = async locator => {
    await locator.waitFor()
    for (let i = 0; i < 90; i++) {
      if (await locator.evaluate(e => e === document.activeElement)) {
        const seen = await locator.evaluate(e => e.matches(':focus-visible'))
        assert.ok(seen, 'focus is visible')
        return
      }
      await press('Tab')
    }
    assert.fail(`Tab does not lead to ${locator}`)
  }
  const enter = async locator => {
    await to(locator)
    await press('Enter')
  }
  const space = async locator => {
    await to(locator)
    await press(' ')
  }
  const type = async (locator, text) => {
    await to(locator)
    await press('ControlOrMeta+a')
    await page.keyboard.insertText(text)
  }
  // choose walks to a group of radio buttons and moves to one by arrows.
  const choose = async (group, name) => {
    const wanted = group.getByRole('radio', { name })
    await wanted.waitFor()
    if (await wanted.isChecked()) return
    await to(group.getByRole('radio', { checked: true }))
    for (let i = 0; i < 12 && !(await wanted.isChecked()); i++) await press('ArrowDown')
    assert.ok(await wanted.isChecked(), `arrows lead to ${name}`)
  }
  return { press, to, enter, space, type, choose, count: () => keys }
}
